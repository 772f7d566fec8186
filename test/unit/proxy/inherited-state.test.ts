/** Sockets, blocks of ports and totals of another process, as the workers and counters of this one take them. */
import { expect, test } from "bun:test";
import { CounterSlots } from "../../../src/proxy/counter-slots.ts";
import { continueCounters, exportCounters } from "../../../src/proxy/counter-state.ts";
import type { ListenerMap } from "../../../src/proxy/listen/listeners.ts";
import {
  createCounters,
  HISTOGRAM_FIELDS,
  REFUSAL_REASONS,
  S_ACCEPTED,
  S_REFUSALS,
  S_RELAYED_TCP,
  S_UDP_OPEN,
  S_UDP_REFUSALS,
  S_WAITS,
  SERVICE_FIELDS,
  sumRows,
  T_BYTES_IN,
  T_CONNECTS,
  T_FAILURES,
  T_LAST_ERRNO,
  T_OPEN,
  T_TOTAL,
  TASK_FIELDS,
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

test("every field of a service and a task goes on but for what is open", () => {
  const [before, slots] = [createCounters(2), new CounterSlots()];
  const service = slots.services.take("web") * SERVICE_FIELDS;
  const task = slots.tasks.take("web a 10.0.0.1 80 ") * TASK_FIELDS;
  for (const row of before.services) row.fill(1, service, service + SERVICE_FIELDS);
  for (const row of before.tasks) row.fill(1, task, task + TASK_FIELDS);
  const [after, newSlots] = [createCounters(1), new CounterSlots()];
  newSlots.services.take("first");
  newSlots.tasks.take("first a 10.0.0.1 80 ");
  continueCounters(exportCounters(before, slots), after, newSlots);
  const ofService = (field: number) => after.services[0]![SERVICE_FIELDS + field];
  const ofTask = (field: number) => after.tasks[0]![TASK_FIELDS + field];
  const last = S_WAITS + HISTOGRAM_FIELDS - 1;
  expect([S_ACCEPTED, S_RELAYED_TCP, S_WAITS, last, S_UDP_REFUSALS].map(ofService)).toEqual([2, 2, 2, 2, 2]);
  expect(ofService(S_UDP_OPEN)).toBe(0);
  const totals = [T_TOTAL, T_FAILURES, T_BYTES_IN, T_CONNECTS, TASK_FIELDS - 1];
  expect(totals.map(ofTask)).toEqual([2, 2, 2, 2, 2]);
  expect([T_OPEN, T_LAST_ERRNO].map(ofTask)).toEqual([0, 1]);
});

test("what an older version hands over is read, what it does not count begins at 0", () => {
  const [counters, slots] = [createCounters(1), new CounterSlots()];
  const fields = Array.from({ length: 37 }, (_, index) => index + 1);
  const state = {
    services: [["web", fields]],
    tasks: [["web a 10.0.0.1 80 ", [5, 6, 111, 1_000]]],
    peers: [],
    relayDrops: [],
    relayRefusals: [],
  } as const;
  continueCounters(state, counters, slots);
  const task = [T_TOTAL, T_FAILURES, T_LAST_ERRNO, T_BYTES_IN].map((field) => counters.tasks[0]![field]);
  expect(task).toEqual([5, 6, 111, 0]);
  expect([S_ACCEPTED, S_RELAYED_TCP].map((field) => counters.services[0]![field])).toEqual([1, 0]);
  // the last reason that a connection can be refused for, before the fields of this version
  expect(counters.services[0]![S_RELAYED_TCP - 1]).toBe(37);
});

test("all reasons have a place", () => {
  expect(S_REFUSALS + REFUSAL_REASONS.length).toBeLessThanOrEqual(S_RELAYED_TCP);
  expect(S_UDP_REFUSALS + REFUSAL_REASONS.length).toBeLessThanOrEqual(SERVICE_FIELDS);
});

test("each worker's lag goes on, those of workers that are no more with another", () => {
  const before = createCounters(3);
  for (const [worker, row] of before.loopLags.entries()) row[0] = worker + 1;
  const after = createCounters(2);
  continueCounters(exportCounters(before, new CounterSlots()), after, new CounterSlots());
  expect(after.loopLags.map((row) => row[0])).toEqual([1 + 3, 2]);
});
