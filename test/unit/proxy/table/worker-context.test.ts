/** Who waits for descriptors. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createCounters, type SharedCounters } from "../../../../src/proxy/table/counters.ts";
import { DescriptorGate, type DescriptorWaiter } from "../../../../src/proxy/table/descriptor-gate.ts";
import { close } from "../../../../src/sys/socket.ts";
import { openWakeup } from "../../../../src/sys/wakeup.ts";

const PLENTY = 1_000_000;

describe("DescriptorGate", () => {
  let counters: SharedCounters;
  let fd: number;
  let waits: number;

  beforeEach(() => {
    counters = createCounters(2);
    fd = openWakeup();
    waits = 0;
  });

  afterEach(() => close(fd));

  function gateAt(pauseAtFd: number): DescriptorGate {
    return new DescriptorGate(pauseAtFd, counters, 1, fd, () => waits++);
  }

  function waiter(then: () => void = () => {}): DescriptorWaiter & { told: number } {
    const waiter = {
      told: 0,
      onDescriptors: () => {
        waiter.told++;
        then();
      },
    };
    return waiter;
  }

  test("a descriptor is scarce from the limit on", () => {
    const gate = gateAt(100);
    expect([99, 100, 101].map((fd) => gate.isScarce(fd))).toEqual([false, true, true]);
  });

  test("notifies all once when there is room, and counts those that wait", () => {
    const gate = gateAt(PLENTY);
    const [first, second] = [waiter(), waiter()];
    gate.wait(first);
    gate.wait(second);
    expect([waits, gate.isWaitedFor, counters.paused[0], counters.paused[1]]).toEqual([2, true, 0, 1]);
    gate.release();
    gate.release();
    expect([first.told, second.told, gate.isWaitedFor, counters.paused[1]]).toEqual([1, 1, false, 0]);
  });

  test("notifies none while the next descriptor would be scarce", () => {
    const gate = gateAt(0);
    const one = waiter();
    gate.wait(one);
    gate.release();
    expect([one.told, gate.isWaitedFor, counters.paused[1]]).toEqual([0, true, 1]);
  });

  test("one that has to wait again is notified in the next round", () => {
    const gate = gateAt(PLENTY);
    const again = waiter(() => {
      if (again.told === 1) gate.wait(again);
    });
    gate.wait(again);
    gate.release();
    expect([again.told, gate.isWaitedFor, counters.paused[1]]).toEqual([1, true, 1]);
    gate.release();
    expect([again.told, gate.isWaitedFor, counters.paused[1]]).toEqual([2, false, 0]);
  });
});
