/** The tables of workers: each with sockets of its own, all with the same counters. */
import { beforeEach, expect, test } from "bun:test";
import { CounterSlots } from "../../../src/proxy/counter-slots.ts";
import { DescriptorBudget } from "../../../src/proxy/listen/descriptor-budget.ts";
import { Listeners } from "../../../src/proxy/listen/listeners.ts";
import { createCounters, T_OPEN, TASK_FIELDS } from "../../../src/proxy/table/counters.ts";
import type { RoutingTable } from "../../../src/proxy/table/routing-table.ts";
import type { WorkerTable } from "../../../src/proxy/table/worker-messages.ts";
import { WorkerTables } from "../../../src/proxy/worker-tables.ts";
import { tableOf } from "../../support/proxy/routing-table.ts";

const RELAY = {
  node: "n1",
  listenAddresses: ["192.0.2.1"],
  port: 4789,
  udpPort: 4789,
  keys: ["5a".repeat(32)],
  acceptsClear: "always",
} as const;
const PEER = { name: "n2", address: "192.0.2.2", port: 4789, udpPort: 4789, isSealed: true };
const WEB = {
  name: "web",
  protocol: "tcp",
  published: 80,
  tasks: [8080, 8081],
  listenAddresses: ["192.0.2.1"],
} as const;
const DNS = {
  name: "dns",
  protocol: "udp",
  published: 53,
  tasks: [5353],
  listenAddresses: ["0.0.0.0", "::"],
} as const;

let slots: CounterSlots;
let listeners: Listeners;
let tables: WorkerTables;

beforeEach(() => {
  let nextFd = 100;
  const budget = new DescriptorBudget(20_000, 2, false);
  slots = new CounterSlots();
  listeners = new Listeners({ budget, open: () => ({ fds: [nextFd++, nextFd++] }), close: () => undefined });
  tables = new WorkerTables(listeners, slots, budget);
});

/** Of both workers. */
function tablesOf(table: RoutingTable): [WorkerTable, WorkerTable] {
  listeners.replace(listeners.prepare(table).listeners);
  return [tables.tableOf(table, 0), tables.tableOf(table, 1)];
}

test("every worker has a socket of its own, and all count in the same places", () => {
  const both = tablesOf({ ...tableOf(WEB, DNS), relay: RELAY, peers: [PEER] });
  const fds = both.map(({ services, relay }) => [
    ...services.flatMap(({ ports }) => ports.flatMap((port) => port.listeners.map(({ fd }) => fd))),
    ...relay!.tcpListeners.map(({ fd }) => fd),
    ...relay!.udpListeners.map(({ fd }) => fd),
  ]);
  expect(fds.map((own) => own.length)).toEqual([4, 4]);
  expect(new Set(fds.flat()).size).toBe(8);
  const slotsOf = ({ services, peers }: WorkerTable) => [
    ...services.map(({ slot }) => slot),
    ...services.flatMap(({ tasks }) => tasks.map(({ slot }) => slot)),
    ...peers.map(({ slot }) => slot),
  ];
  expect(slotsOf(both[0])).toEqual([0, 1, 0, 1, 2, 0]);
  expect(slotsOf(both[1])).toEqual(slotsOf(both[0]));
});

test("a socket for both families is at one of the addresses alone, and both are published", () => {
  const [table] = tablesOf({ ...tableOf(DNS), localAddresses: ["192.0.2.1", "2001:db8::1"] });
  expect(table.services[0]!.ports[0]!.listeners.map(({ address }) => address)).toEqual(["::"]);
  expect(table.udpListeners.map(({ addresses }) => addresses)).toEqual([
    ["127.0.0.0/8", "192.0.2.1"],
    ["::1", "2001:db8::1"],
  ]);
});

test("the counters of a task that has left are used again once its last connection has ended", () => {
  const counters = createCounters(2);
  const table = tableOf(WEB);
  tablesOf(table);
  const [service] = table.services;
  const slot = slots.taskOf(service!, service!.tasks[1]!)!;
  counters.tasks[1]![slot * TASK_FIELDS + T_OPEN] = 1;
  slots.releaseUnused(tableOf({ ...WEB, tasks: [8080] }), counters);
  expect(slots.taskOf(service!, service!.tasks[1]!)).toBe(slot);
  counters.tasks[1]![slot * TASK_FIELDS + T_OPEN] = 0;
  slots.releaseUnused(tableOf({ ...WEB, tasks: [8080] }), counters);
  expect(slots.taskOf(service!, service!.tasks[1]!)).toBeUndefined();
  expect(slots.taskOf(service!, service!.tasks[0]!)).toBe(0);
});
