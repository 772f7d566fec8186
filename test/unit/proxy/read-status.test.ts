import { expect, test } from "bun:test";
import { CounterSlots } from "../../../src/proxy/counter-slots.ts";
import { readStatus } from "../../../src/proxy/read-status.ts";
import {
  createCounters,
  T_FAILING,
  T_LAST_ERRNO,
  T_LAST_FAILURE_AT,
  TASK_FIELDS,
} from "../../../src/proxy/table/counters.ts";
import type { TaskStatus } from "../../../src/proxy/table/status.ts";
import { tableOf } from "../../support/proxy/routing-table.ts";

const NOW = 1_800_000_000_000;
const ECONNREFUSED = 111;

/** Of a task that the connects of each worker have last failed at so long ago; null: it has answered since. */
function statusOfTaskThatFailed(...agesMs: (number | null)[]): TaskStatus {
  const table = tableOf({ protocol: "tcp", published: 8080, tasks: [{ address: "10.0.0.1" }] });
  const service = table.services[0]!;
  const slots = new CounterSlots();
  const at = slots.takeTask(service, service.tasks[0]!) * TASK_FIELDS;
  const counters = createCounters(agesMs.length);
  agesMs.forEach((ageMs, worker) => {
    const row = counters.tasks[worker]!;
    row[at + T_FAILING] = ageMs === null ? 0 : 1;
    row[at + T_LAST_FAILURE_AT] = NOW - (ageMs ?? 5_000);
    row[at + T_LAST_ERRNO] = ECONNREFUSED;
  });
  const sourcePorts = { low: 1, high: 8, forSessions: 7, leftToHost: 1 };
  return readStatus({ table, counters, slots, sourcePorts, listeners: new Map() }, NOW).services[0]!
    .tasks[0]!;
}

test("a task is failing as long as some worker's last connect to it has failed", () => {
  expect(statusOfTaskThatFailed(0, null)).toMatchObject({
    state: "failing",
    lastError: { message: "connection refused", at: NOW },
  });
  expect(statusOfTaskThatFailed(null, null).state).toBe("active");
});

test("a worker that has not tried for a minute does not make a task failing, but its error stays to be read", () => {
  expect(statusOfTaskThatFailed(59_000, null).state).toBe("failing");
  expect(statusOfTaskThatFailed(60_000, null).state).toBe("active");
  expect(statusOfTaskThatFailed(60_000, 5_000).state).toBe("failing");
  expect(statusOfTaskThatFailed(60_000).lastError).toEqual({
    message: "connection refused",
    at: NOW - 60_000,
  });
});
