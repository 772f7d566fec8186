import { describe, expect, test } from "bun:test";
import { down, type ProbeResult, readDrain, up } from "../../../src/health/probe-result.ts";
import { type HealthState, RiseFall } from "../../../src/health/rise-fall.ts";

const DRAIN: ProbeResult = { outcome: "drain", reason: "drain" };
const RESULTS = { u: up("ok"), d: down("refused"), r: DRAIN } as const;

/** The states after each result of "uddr…". */
function statesAfter(results: string, state: HealthState = "starting"): string[] {
  const machine = new RiseFall({ rise: 2, fall: 3 }, { state, reason: "", since: 0 });
  return [...results].map((result, index) => {
    machine.onResult(RESULTS[result as keyof typeof RESULTS], index + 1);
    return machine.health.state;
  });
}

describe("RiseFall", () => {
  test.each<[string, HealthState, string, string]>([
    ["one success serves a new task", "starting", "u", "healthy"],
    ["failures below fall leave it starting", "starting", "dd", "starting starting"],
    ["fall failures", "starting", "ddd", "starting starting unhealthy"],
    [
      "a success in between starts the count anew",
      "healthy",
      "ddudd",
      "healthy healthy healthy healthy healthy",
    ],
    ["rise successes bring it back", "unhealthy", "uduu", "unhealthy unhealthy unhealthy healthy"],
    ["drain counts at once, in every state", "healthy", "r", "draining"],
    ["drain from unhealthy", "unhealthy", "r", "draining"],
    ["one success ends a drain", "draining", "u", "healthy"],
    ["a draining task may fail", "draining", "ddd", "draining draining unhealthy"],
    ["drain is no success towards rise", "unhealthy", "uru", "unhealthy draining healthy"],
  ])("%s", (_, state, results, states) => expect(statesAfter(results, state)).toEqual(states.split(" ")));

  test("a change has its reason and time; what stays keeps them", () => {
    const machine = new RiseFall({ rise: 1, fall: 1 }, { state: "healthy", reason: "ok", since: 5 });
    expect(machine.onResult(up("still ok"), 10)).toBe(false);
    expect(machine.health).toEqual({ state: "healthy", reason: "ok", since: 5 });
    expect(machine.onResult(down("connection refused"), 20)).toBe(true);
    expect(machine.health).toEqual({ state: "unhealthy", reason: "connection refused", since: 20 });
  });

  test("another reason is reported, but not with every probe", () => {
    const machine = new RiseFall({ rise: 1, fall: 1 }, { state: "healthy", reason: "ok", since: 5 });
    machine.onResult(down("connection refused"), 1_000);
    expect(machine.onResult(down("status 503"), 2_000)).toBe(false);
    expect(machine.onResult(down("status 503"), 12_000)).toBe(true);
    expect(machine.health).toEqual({ state: "unhealthy", reason: "status 503", since: 1_000 });
    expect(machine.onResult(down("status 503"), 24_000)).toBe(false);
  });
});

test.each<[string, string | null]>([
  ["drain", 'the task answers "drain"'],
  ["DRAIN\r\nmore", 'the task answers "drain"'],
  ["drain: maintenance", 'the task answers "drain": maintenance'],
  ["drain # at 3", 'the task answers "drain": at 3'],
  ["Drain pipes for sale", null],
  ["drained", null],
  ["ok\ndrain", null],
  ["", null],
])("readDrain: %j", (answer, reason) => expect(readDrain(answer)?.reason ?? null).toBe(reason));
