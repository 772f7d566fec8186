/** One worker's descriptors, divided between services, the relay and pipes. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createCounters } from "../../../../src/proxy/table/counters.ts";
import { DescriptorGate } from "../../../../src/proxy/table/descriptor-gate.ts";
import {
  type DescriptorShare,
  DescriptorShares,
  type Shareholder,
} from "../../../../src/proxy/table/descriptor-shares.ts";

const TOTAL = 6_400;
const counters = createCounters(1);
let shares: DescriptorShares;

beforeEach(() => {
  shares = new DescriptorShares(new DescriptorGate(1_000_000, counters, 0, -1, () => {}));
});

function service(slot: number, ...protocols: ("tcp" | "udp")[]): Shareholder {
  return { slot, ports: protocols.map((protocol) => ({ protocol })) };
}

/** Opens as long as there is room, as a flood does; returns how many. */
function flood(share: DescriptorShare, count = 1): number {
  let opened = 0;
  for (; share.hasRoom(count); opened += count) share.add(count);
  return opened;
}

describe("DescriptorShares", () => {
  test("one service alone may have all but the part of pipes", () => {
    shares.divide(TOTAL, [service(0, "tcp")], false);
    expect(flood(shares.tcp(0), 2)).toBe(TOTAL - TOTAL / 64);
    expect(flood(shares.pipes)).toBe(TOTAL / 64);
  });

  test("a flood of one protocol leaves the other of the same service its guarantee and more", () => {
    shares.divide(TOTAL, [service(0, "tcp", "udp")], false);
    const taken = flood(shares.udp(0));
    expect(taken).toBeLessThan(TOTAL * 0.75);
    expect(flood(shares.tcp(0))).toBeGreaterThan(TOTAL / 4);
    expect(shares.tcp(0).used + shares.udp(0).used).toBeLessThanOrEqual(TOTAL);
  });

  test("floods of all but one service leave that one its guarantee", () => {
    const services = Array.from({ length: 10 }, (_, slot) => service(slot, "udp"));
    shares.divide(TOTAL, [...services, service(10, "tcp")], true);
    for (let slot = 0; slot < 10; slot++) flood(shares.udp(slot));
    expect(flood(shares.relay)).toBeGreaterThanOrEqual(TOTAL / 32);
    expect(flood(shares.tcp(10))).toBeGreaterThanOrEqual(Math.floor((TOTAL * (1 - 3 / 64)) / 2 / 11));
  });

  test("with more services than descriptors a flood still leaves some for the next", () => {
    shares.divide(
      TOTAL,
      Array.from({ length: 8_000 }, (_, slot) => service(slot, "tcp")),
      false,
    );
    flood(shares.tcp(0));
    expect(flood(shares.tcp(1), 2)).toBeGreaterThan(100);
    expect(flood(shares.tcp(2), 2)).toBeGreaterThan(10);
  });

  test("what is closed may be opened again, by others too", () => {
    shares.divide(TOTAL, [service(0, "tcp"), service(1, "tcp")], false);
    const taken = flood(shares.tcp(0));
    const before = flood(shares.tcp(1));
    shares.tcp(0).remove(taken);
    expect(flood(shares.tcp(1)) + before).toBe(taken);
  });

  test("a service that leaves the table keeps what it has open as a loan, and the others have their guarantee", () => {
    shares.divide(TOTAL, [service(0, "tcp"), service(1, "tcp")], false);
    const taken = flood(shares.tcp(0));
    shares.divide(TOTAL, [service(1, "tcp")], false);
    expect(flood(shares.tcp(1))).toBe((TOTAL * 63) / 64 / 2);
    shares.tcp(0).remove(taken);
    expect(shares.tcp(1).hasRoom(TOTAL / 4)).toBe(true);
    expect(shares.tcp(0).hasRoom(TOTAL)).toBe(false);
  });

  test("less than is open leaves no room until some is closed", () => {
    shares.divide(TOTAL, [service(0, "tcp")], false);
    const taken = flood(shares.tcp(0));
    shares.divide(TOTAL / 2, [service(0, "tcp")], false);
    expect(shares.tcp(0).hasRoom(1)).toBe(false);
    shares.tcp(0).remove(taken / 2);
    expect(shares.tcp(0).hasRoom(1)).toBe(false);
    shares.tcp(0).remove(taken / 2);
    expect(flood(shares.tcp(0))).toBe((TOTAL * 63) / 64 / 2);
  });

  test("one that waits is notified when its own service closes something, and the counters show that it waits", () => {
    shares.divide(TOTAL, [service(0, "tcp"), service(1, "tcp")], false);
    flood(shares.tcp(0), 2);
    let told = 0;
    shares.tcp(0).wait({ onDescriptors: () => told++ });
    expect([shares.isWaitedFor, counters.paused[0]]).toEqual([true, 1]);
    shares.tcp(1).add(2);
    shares.tcp(1).remove(2);
    expect(told).toBe(0);
    shares.tcp(0).remove(2);
    expect([told, shares.isWaitedFor, counters.paused[0]]).toEqual([1, false, 0]);
  });
});
