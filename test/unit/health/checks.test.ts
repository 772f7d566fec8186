import { beforeEach, describe, expect, test } from "bun:test";
import { Checks } from "../../../src/health/checks.ts";
import { down, type ProbeResult, up } from "../../../src/health/probe-result.ts";
import type { Health } from "../../../src/health/rise-fall.ts";
import type { Check } from "../../../src/model/index.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

interface Task {
  readonly key: string;
  readonly check: Check;
}

const CHECK: Check = { type: "tcp", port: 80, intervalMs: 2_000, timeoutMs: 1_000, rise: 2, fall: 3 };

let clock: ManualClock;
let checks: Checks<Task>;
let random: number;
/** Keys, in the order of their probes. */
let probed: string[];
let running: number;
let mostRunning: number;
/** null: silence. */
let answers: (task: Task) => ProbeResult | null;
let changes: string[];

beforeEach(() => {
  clock = new ManualClock();
  [random, probed, running, mostRunning, changes] = [0.5, [], 0, 0, []];
  answers = () => up("connected");
  checks = new Checks<Task>({
    clock,
    random: () => random,
    probe: (task, signal) => {
      probed.push(task.key);
      mostRunning = Math.max(mostRunning, ++running);
      return new Promise((resolve) => {
        const end = (result: ProbeResult) => {
          running--;
          resolve(result);
        };
        const answer = answers(task);
        if (answer !== null) return end(answer);
        signal.addEventListener("abort", () => end(down("called off")), { once: true });
      });
    },
    onHealth: ({ key }, { state, reason }) => changes.push(`${key} ${state}: ${reason}`),
  });
});

function starting(): Health {
  return { state: "starting", reason: "not probed yet", since: clock.nowMs() };
}

function follow(...tasks: readonly Task[]): void {
  checks.follow(tasks, starting);
}

const task = (key: string, changes: Partial<Check> = {}): Task => ({
  key,
  check: { ...CHECK, ...changes } as Check,
});

describe("Checks", () => {
  test("the first probe is made at once, and one success serves", async () => {
    follow(task("a"));
    await clock.advance(0);
    expect(changes).toEqual(["a healthy: connected"]);
  });

  test("the later probes keep the interval, the second one comes earlier", async () => {
    follow(task("a"));
    await clock.advance(0);
    await clock.advance(1_499);
    expect(probed.length).toBe(1);
    await clock.advance(1);
    expect(probed.length).toBe(2);
    await clock.advance(20_000);
    expect(probed.length).toBe(12);
  });

  test("jitter: never more than a twentieth beside the interval", async () => {
    follow(task("a"));
    await clock.advance(2_000);
    for (random of [0, 0.999]) {
      const before = probed.length;
      await clock.advance(20 * 2_000);
      expect(Math.abs(probed.length - before - 20)).toBeLessThanOrEqual(2);
    }
  });

  test("silence fails at the timeout, and is called off", async () => {
    answers = () => null;
    follow(task("a", { fall: 1 }));
    await clock.advance(999);
    expect([running, changes]).toEqual([1, []]);
    await clock.advance(1);
    expect([running, changes]).toEqual([0, ["a unhealthy: no answer in 1 s"]]);
  });

  test("fall, then rise", async () => {
    follow(task("a"));
    await clock.advance(0);
    answers = () => down("connection refused");
    await clock.advance(7_000);
    answers = () => up("connected");
    await clock.advance(5_000);
    expect(changes).toEqual([
      "a healthy: connected",
      "a unhealthy: connection refused",
      "a healthy: connected",
    ]);
  });

  test("64 probes at a time; the others follow in order", async () => {
    answers = () => null;
    follow(...Array.from({ length: 200 }, (_, index) => task(`${index}`)));
    await clock.advance(0);
    expect([running, probed.length]).toEqual([64, 64]);
    await clock.advance(1_000);
    expect([running, probed.length]).toEqual([64, 128]);
    await clock.advance(2_000);
    expect(probed.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, index) => `${index}`));
    expect(mostRunning).toBe(64);
  });

  test("8 programs at a time hold no other check up", async () => {
    answers = ({ check }) => (check.type === "exec" ? null : up("connected"));
    const exec = Array.from({ length: 20 }, (_, index) =>
      task(`e${index}`, { type: "exec", command: ["/bin/true"] } as Partial<Check>),
    );
    follow(...exec, task("a"));
    await clock.advance(0);
    expect([running, probed.length, changes]).toEqual([8, 9, ["a healthy: connected"]]);
  });

  test("the same tasks again change nothing", async () => {
    follow(task("a"));
    await clock.advance(0);
    const timers = clock.timerCount;
    follow(task("a"));
    await clock.advance(0);
    expect([probed.length, clock.timerCount]).toEqual([1, timers]);
  });

  test("another check begins at once and keeps the state", async () => {
    follow(task("a"));
    await clock.advance(0);
    const before = checks.healthOf("a");
    answers = () => down("status 500");
    follow(task("a", { intervalMs: 60_000, fall: 1 }));
    expect([probed.length, checks.healthOf("a")]).toEqual([2, before]);
    await clock.advance(0);
    expect(changes.at(-1)).toBe("a unhealthy: status 500");
  });

  test("the result of a probe that was called off does not count", async () => {
    answers = () => null;
    follow(task("a", { fall: 1 }));
    await clock.advance(500);
    answers = () => up("connected");
    follow(task("a", { fall: 1, timeoutMs: 900 }));
    await clock.advance(5_000);
    expect(changes).toEqual(["a healthy: connected"]);
  });

  test("a task that is gone leaves nothing behind", async () => {
    answers = () => null;
    follow(task("a"), task("b"));
    await clock.advance(100);
    follow();
    await clock.advance(10_000);
    expect([running, clock.timerCount, changes]).toEqual([0, 0, []]);
  });

  test("a pause calls everything off; then all are probed at once", async () => {
    follow(task("a"));
    await clock.advance(0);
    checks.pause();
    await clock.advance(60_000);
    expect([probed.length, clock.timerCount]).toEqual([1, 0]);
    checks.resume();
    expect(probed.length).toBe(2);
    checks.close();
    await clock.advance(60_000);
    expect([probed.length, clock.timerCount]).toEqual([2, 0]);
  });

  test("a probe that throws is a failure", async () => {
    answers = () => {
      throw new Error("broken");
    };
    follow(task("a", { fall: 1 }));
    await clock.advance(0);
    expect(changes).toEqual(["a unhealthy: broken"]);
  });
});
