/** Sockets, blocks of ports and totals of another process, as the workers and counters of this one take them. */
import { expect, test } from "bun:test";
import { CounterSlots } from "../../../src/proxy/counter-slots.ts";
import { continueCounters, exportCounters } from "../../../src/proxy/counter-state.ts";
import type { ListenerMap } from "../../../src/proxy/listen/listeners.ts";
import {
  createCounters,
  S_ACCEPTED,
  S_UDP_OPEN,
  SERVICE_FIELDS,
  sumRows,
} from "../../../src/proxy/table/counters.ts";
import { readSessionRows, SessionRowWriter } from "../../../src/proxy/table/session-rows.ts";
import { exportUdp, InheritedUdp } from "../../../src/proxy/udp-state.ts";

const AT = { protocol: "udp", address: "0.0.0.0", port: 53 } as const;

function listening(...fds: number[]): ListenerMap {
  return new Map([["udp 0.0.0.0:53", { service: "dns", at: AT, fds, error: null }]]);
}

function sessionsWith(fd: number, port: number) {
  const rows = new SessionRowWriter();
  const flags = { rank: 1, hasSent: true, isAnswered: true, idleMs: 5, owed: 0 };
  rows.add({ target: 0, fd, port, clientHash: 1, ...flags, key: new Int32Array([1, 2]) });
  return { targets: ["one"], rows: rows.words };
}

function exported() {
  const workers = [30, 31, 32].map((fd, index) => ({
    listeners: [{ fd, ...sessionsWith(100 + index, 40_000 + 64 * index) }],
    claims: [{ block: 40_000 + 64 * index, fd: 200 + index }],
  }));
  return exportUdp(workers, listening(30, 31, 32));
}

test("sessions go to the worker that has their socket, ports to the worker of the sessions", () => {
  const { value, descriptors } = exported();
  expect(descriptors.length).toBe(6);
  const inherited = new InheritedUdp({ value, descriptors: descriptors.map((fd) => fd + 1_000) }, 2);
  const taken = [0, 1].map((worker) => inherited.take(worker, listening(5, 6, 7))!);
  const fdsOf = (worker: number) =>
    taken[worker]!.listeners.map(({ fd, rows }) => [fd, [...readSessionRows(rows)][0]!.fd]);
  expect([fdsOf(0), fdsOf(1)]).toEqual([
    [
      [5, 1_100],
      [7, 1_102],
    ],
    [[6, 1_101]],
  ]);
  expect(taken.map(({ claims }) => claims.map(({ fd }) => fd))).toEqual([[1_200, 1_202], [1_201]]);
  expect([inherited.takeRest(), inherited.take(0, listening(5, 6, 7))]).toEqual([[], null]);
});

test("a block of ports whose sessions come to several workers is for no new ones", () => {
  const [first, second] = [30, 31].map((fd, index) => ({ fd, ...sessionsWith(100 + index, 40_000) }));
  const worker = { listeners: [first!, second!], claims: [{ block: 40_000, fd: 200 }] };
  const { value } = exportUdp([worker], listening(30, 31));
  const descriptors = [100, 101, 200];
  const usersWith = (workers: number) =>
    new InheritedUdp({ value, descriptors }, workers).take(0, listening(5, 6))!.claims;
  expect(usersWith(2)).toEqual([{ worker: 0, block: 40_000, fd: 200, users: 2 }] as never);
  expect(usersWith(1)).toEqual([{ worker: 0, block: 40_000, fd: 200, users: 1 }] as never);
});

test("descriptors of ports that are no longer published remain, to be closed", () => {
  const inherited = new InheritedUdp(exported(), 1);
  inherited.take(0, listening(5));
  expect(inherited.takeRest().sort()).toEqual([101, 102]);
});

test("totals of all workers go on, what is open is counted anew", () => {
  const [before, slots] = [createCounters(2), new CounterSlots()];
  slots.services.take("other");
  const at = slots.services.take("web") * SERVICE_FIELDS;
  before.services[0]![at + S_ACCEPTED] = 3;
  before.services[1]![at + S_ACCEPTED] = 4;
  before.services[1]![at + S_UDP_OPEN] = 5;
  const [after, newSlots] = [createCounters(1), new CounterSlots()];
  newSlots.services.take("first");
  continueCounters(exportCounters(before, slots), after, newSlots);
  const now = newSlots.services.get("web")! * SERVICE_FIELDS;
  expect([sumRows(after.services, now + S_ACCEPTED), sumRows(after.services, now + S_UDP_OPEN)]).toEqual([
    7, 0,
  ]);
});
