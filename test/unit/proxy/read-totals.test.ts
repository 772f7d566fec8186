import { expect, test } from "bun:test";
import { CounterSlots } from "../../../src/proxy/counter-slots.ts";
import { TotalsReader } from "../../../src/proxy/read-totals.ts";
import {
  createCounters,
  S_ACCEPTED,
  SERVICE_FIELDS,
  T_FAILING,
  T_LAST_FAILURE_AT,
  T_TOTAL,
  TASK_FIELDS,
} from "../../../src/proxy/table/counters.ts";
import { tableOf } from "../../support/proxy/routing-table.ts";

const NOW = 1_800_000_000_000;
const SOURCE_PORTS = { low: 1, high: 8, forSessions: 7, leftToHost: 1 };

function setUp() {
  const table = tableOf(
    { name: "web", protocol: "tcp", published: 80, tasks: [8080, { port: 8081, isDraining: true }] },
    { name: "dns", protocol: "udp", published: 53, tasks: [5353] },
  );
  const slots = new CounterSlots();
  // in another order than the table's, and not from the first on
  for (const name of ["gone", "dns", "web"]) slots.services.take(name);
  for (const service of table.services.toReversed())
    for (const task of service.tasks.toReversed()) slots.takeTask(service, task);
  const counters = createCounters(2);
  const listeners = new Map([
    [
      "a",
      { service: "web", at: { protocol: "tcp", address: "::", port: 80 } as const, fds: [1], error: null },
    ],
    [
      "b",
      { service: "dns", at: { protocol: "udp", address: "::", port: 53 } as const, fds: [], error: "no" },
    ],
  ]);
  return { table, slots, counters, listeners, sourcePorts: SOURCE_PORTS };
}

test("the sums of all workers, in the order of the table", () => {
  const counted = setUp();
  const { counters, slots, table } = counted;
  const web = slots.services.get("web")!;
  counters.services[0]![web * SERVICE_FIELDS + S_ACCEPTED] = 3;
  counters.services[1]![web * SERVICE_FIELDS + S_ACCEPTED] = 4;
  counters.open[web] = 2;
  counters.relayedOpen[web] = 1;
  const [, second] = table.services[0]!.tasks;
  counters.tasks[1]![slots.taskOf(table.services[0]!, second!)! * TASK_FIELDS + T_TOTAL] = 9;
  const totals = new TotalsReader().read(counted, NOW);
  expect([0, 1].map((index) => totals.services[index * SERVICE_FIELDS + S_ACCEPTED])).toEqual([7, 0]);
  expect([0, 1, 2].map((index) => totals.tasks[index * TASK_FIELDS + T_TOTAL])).toEqual([0, 9, 0]);
  expect([totals.open, totals.relayedOpen]).toEqual([
    [2, 0],
    [1, 0],
  ]);
  expect(totals.listeners).toEqual({ open: 1, failed: 1 });
});

test("a task that drains or has lately failed is not up", () => {
  const counted = setUp();
  const { counters, slots, table } = counted;
  const dns = table.services[1]!;
  const at = slots.taskOf(dns, dns.tasks[0]!)! * TASK_FIELDS;
  const reader = new TotalsReader();
  const up = () => {
    const { areTasksUp, tasksUp } = reader.read(counted, NOW);
    return [areTasksUp, tasksUp];
  };
  expect(up()).toEqual([
    [true, false, true],
    [1, 1],
  ]);
  counters.tasks[1]![at + T_FAILING] = 1;
  counters.tasks[1]![at + T_LAST_FAILURE_AT] = NOW - 1_000;
  expect(up()).toEqual([
    [true, false, false],
    [1, 0],
  ]);
});

test("a task that its health check has taken out of rotation is not up", () => {
  const counted = setUp();
  const table = tableOf({ protocol: "tcp", published: 80, tasks: [{ port: 1, isOutOfRotation: true }, 2] });
  const { areTasksUp, tasksUp } = new TotalsReader().read({ ...counted, table }, NOW);
  expect([areTasksUp, tasksUp]).toEqual([[false, true], [1]]);
});

test("another table is read at its own places, and one without a place is 0", () => {
  const counted = setUp();
  const { counters, slots } = counted;
  counters.services[0]![slots.services.get("dns")! * SERVICE_FIELDS + S_ACCEPTED] = 5;
  const reader = new TotalsReader();
  reader.read(counted, NOW);
  const other = tableOf(
    { name: "new", protocol: "tcp", published: 81, tasks: [1] },
    { name: "dns", protocol: "udp", published: 53, tasks: [5353] },
  );
  const totals = reader.read({ ...counted, table: other }, NOW);
  expect([0, 1].map((index) => totals.services[index * SERVICE_FIELDS + S_ACCEPTED])).toEqual([0, 5]);
  slots.services.take("new");
  counters.services[1]![slots.services.get("new")! * SERVICE_FIELDS + S_ACCEPTED] = 6;
  expect(reader.read({ ...counted, table: other }, NOW).services[S_ACCEPTED]).toBe(6);
});
