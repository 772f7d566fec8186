import { describe, expect, test } from "bun:test";
import type { HealthState, TaskRecord } from "../../../src/catalog/index.ts";
import type { Check } from "../../../src/model/index.ts";
import { isInPanic, isOutOfRotation, isTaskDraining } from "../../../src/node/rotation.ts";
import { task } from "../../support/catalog/catalog-records.ts";

const CHECK: Check = { type: "tcp", port: 80, intervalMs: 2_000, timeoutMs: 1_000, rise: 2, fall: 3 };

function withHealth(state: HealthState | null, changes: Partial<TaskRecord> = {}): TaskRecord {
  const health = state === null ? {} : { health: { state, reason: "", since: 1 } };
  return task("web", "10.0.0.1", { ...health, ...changes });
}

/** The tasks of these states that get clients. */
function serving(states: readonly (HealthState | null)[], panic = true): (HealthState | null)[] {
  const tasks = states.map((state) => withHealth(state));
  const isDraining = (each: TaskRecord) => isTaskDraining(each, false);
  const isPanicking = isInPanic({ check: CHECK, panic }, tasks, isDraining);
  return states.filter(
    (_, index) => !isDraining(tasks[index]!) && !isOutOfRotation(tasks[index]!, isPanicking),
  );
}

describe("rotation", () => {
  test.each<[string, (HealthState | null)[], (HealthState | null)[]]>([
    ["healthy ones alone", ["healthy", "unhealthy", "starting", "draining"], ["healthy"]],
    ["one that nobody checks is as good", [null, "unhealthy"], [null]],
    ["none is healthy: the unhealthy ones", ["unhealthy", "unhealthy"], ["unhealthy", "unhealthy"]],
    ["those that were not probed yet are no help", ["unhealthy", "starting"], ["unhealthy"]],
    ["before the first probe nobody serves", ["starting", "starting"], []],
    ["a draining one is not used in panic", ["unhealthy", "draining"], ["unhealthy"]],
    ["all drain: no panic", ["draining"], []],
  ])("%s", (_, states, wanted) => expect(serving(states)).toEqual(wanted));

  test("without panic nobody serves", () => {
    expect(serving(["unhealthy", "unhealthy"], false)).toEqual([]);
    expect(serving(["healthy", "unhealthy"], false)).toEqual(["healthy"]);
  });
});
