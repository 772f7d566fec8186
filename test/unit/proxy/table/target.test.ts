/** What a target writes into its task's counters; several targets of a task (one per port) share them. */
import { expect, test } from "bun:test";
import {
  CONNECT_FAILURES,
  createCounters,
  T_BYTES_IN,
  T_BYTES_OUT,
  T_CONNECTS,
  T_FAILING,
  T_FAILURES,
  T_FAILURES_BY,
  T_HEDGES,
  T_LAST_ERRNO,
  T_OPEN,
  T_RETRIES,
  T_TOTAL,
  TASK_FIELDS,
  TIME_BUCKETS_MS,
} from "../../../../src/proxy/table/counters.ts";
import { Target } from "../../../../src/proxy/table/target.ts";
import {
  EADDRNOTAVAIL,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  EMFILE,
  ENETUNREACH,
  ENOENT,
  ESHUTDOWN,
  ETIMEDOUT,
} from "../../../../src/sys/errno.ts";

const SLOT = 3;

const TASK = {
  name: "task",
  node: null,
  distance: "local",
  identity: "task",
  address: "127.0.0.1",
  port: null,
  weight: 1,
  isDraining: false,
  slot: SLOT,
} as const;

function setUp(...ports: number[]) {
  const counters = createCounters(1);
  const targets = ports.map((port) => new Target(TASK, port, counters, 0));
  const read = (field: number) => counters.tasks[0]![SLOT * TASK_FIELDS + field]!;
  return { targets: targets as [Target, Target], read };
}

test("a connection is counted while it is open", () => {
  const { targets, read } = setUp(80);
  targets[0].onConnected();
  targets[0].onConnected();
  targets[0].onClosed();
  expect([read(T_OPEN), read(T_TOTAL), targets[0].openConnections()]).toEqual([1, 2, 1]);
});

test("the pause after a failure doubles up to ten seconds and ends with a success", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  let nowMs = 1000;
  const pauses = Array.from({ length: 6 }, () => {
    target.onFailed(ECONNREFUSED, nowMs);
    const pauseMs = target.failingUntilMs - nowMs;
    nowMs = target.failingUntilMs;
    return pauseMs;
  });
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000]);
  expect([read(T_FAILURES), read(T_LAST_ERRNO), read(T_FAILING)]).toEqual([6, ECONNREFUSED, 1]);
  target.onConnected();
  expect([target.failingUntilMs, read(T_FAILING)]).toEqual([0, 0]);
  target.onFailed(ECONNREFUSED, 5000);
  expect(target.failingUntilMs).toBe(6000);
});

test("connects that fail beside each other do not make the pause longer", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  for (let connect = 0; connect < 12; connect++) target.onFailed(ECONNREFUSED, 1000 + connect);
  expect([target.failingUntilMs, read(T_FAILURES), read(T_FAILING)]).toEqual([2000, 12, 1]);
});

test("a task put back into service is tried at once, whatever it refused while it drained", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  target.onFailed(ECONNREFUSED, 1000);
  target.stopDraining(); // it was not draining: nothing has changed
  expect(target.failingUntilMs).toBe(2000);
  target.startDraining(1000);
  target.stopDraining();
  expect([target.failingUntilMs, read(T_FAILING)]).toEqual([0, 0]);
});

test("a task is failing while one of its ports is", () => {
  const { targets, read } = setUp(80, 443);
  const [http, https] = targets;
  http.onFailed(ECONNREFUSED, 0);
  https.onFailed(ECONNREFUSED, 0);
  http.onConnected();
  expect(read(T_FAILING)).toBe(1);
  https.onConnected();
  expect(read(T_FAILING)).toBe(0);
});

test("a retired target takes its failure with it and reports no other", () => {
  const { targets, read } = setUp(80, 443);
  const [gone, kept] = targets;
  gone.onFailed(ECONNREFUSED, 0);
  gone.retire(0);
  expect(read(T_FAILING)).toBe(0);
  gone.onFailed(ECONNREFUSED, 0); // a connect that was under way
  expect([read(T_FAILING), read(T_FAILURES)]).toEqual([0, 1]);
  kept.onConnected();
  expect(read(T_FAILING)).toBe(0);
});

test("draining starts once, keeps its first deadline, and can be taken back", () => {
  const [target] = setUp(80).targets;
  target.drainTimeoutMs = 500;
  target.startDraining(1000);
  target.startDraining(1400);
  expect([target.isDraining, target.cutAtMs]).toEqual([true, 1500]);
  target.stopDraining();
  expect([target.isDraining, target.cutAtMs]).toEqual([false, Number.POSITIVE_INFINITY]);
});

test("after its pause one UDP session tries it, and others pass it over until that one knows", () => {
  const { targets } = setUp(53);
  const [target] = targets;
  target.onFailed(ECONNREFUSED, 0);
  target.onTried(999);
  expect([target.isOnTrial, target.failingUntilMs]).toEqual([false, 1_000]);
  target.onTried(1_000);
  expect([target.isOnTrial, target.failingUntilMs]).toEqual([true, 5_000]);
  target.onTried(2_000);
  expect(target.failingUntilMs).toBe(5_000);
  // it failed again: the pause doubles, as after any failure in a row
  target.onFailed(ECONNREFUSED, 4_000);
  expect([target.isOnTrial, target.failingUntilMs]).toEqual([false, 6_000]);
  target.onTried(6_000);
  target.onAnswered();
  expect([target.isOnTrial, target.failingUntilMs]).toEqual([false, 0]);
});

test("a UDP session with a task that works is no trial", () => {
  const { targets } = setUp(53);
  targets[0].onTried(1_000);
  expect([targets[0].isOnTrial, targets[0].failingUntilMs]).toEqual([false, 0]);
});

test("a task that is late is passed over for a moment, which is no failure", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  expect(target.acceptTimeoutMs).toBe(500);
  target.onLate(1000);
  target.onLate(1001); // beside it
  expect([target.failingUntilMs, target.acceptTimeoutMs]).toEqual([2000, 1000]);
  expect([read(T_FAILURES), read(T_LAST_ERRNO), read(T_FAILING)]).toEqual([0, 0, 0]);
  target.onAccepted(700, 1700);
  target.onAnswered();
  expect([target.failingUntilMs, target.acceptTimeoutMs]).toEqual([0, 700 + 4 * 350]);
});

test("one that is late and then times out has failed once", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  target.onLate(1000);
  target.onFailed(ETIMEDOUT, 1500);
  expect([target.failingUntilMs, read(T_FAILURES), read(T_FAILING)]).toEqual([2500, 1, 1]);
});

test("a connect in which a SYN may have been sent again says nothing of the path", () => {
  const { targets } = setUp(80);
  const [target] = targets;
  target.onAccepted(20, 0);
  const timeoutMs = target.acceptTimeoutMs;
  target.onAccepted(1020, 5000, null);
  expect(target.acceptTimeoutMs).toBe(timeoutMs);
  target.onAccepted(1020, 6000, 20); // as TCP has measured it
  expect(target.acceptTimeoutMs).toBeLessThanOrEqual(timeoutMs);
  expect(target.connectTimeoutMs).toBeGreaterThan(1000);
});

test("failures are counted by reason, those without one of their own in the total only", () => {
  const { targets, read } = setUp(80);
  const errnos = [
    ...[ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET],
    ...[ESHUTDOWN, ENOENT, EMFILE, EADDRNOTAVAIL],
  ];
  for (const errno of errnos) targets[0].onFailed(errno, 1000);
  const byReason = CONNECT_FAILURES.map((reason, index) => [reason, read(T_FAILURES_BY + index)]);
  expect(Object.fromEntries(byReason)).toEqual({
    refused: 1,
    timeout: 1,
    unreachable: 2,
    reset: 1,
    draining: 1,
    "no-such-task": 1,
    "no-descriptor": 1,
  });
  expect(read(T_FAILURES)).toBe(errnos.length);
});

test("the time to accept is counted in the first bucket that is not shorter, and summed", () => {
  const { targets, read } = setUp(80);
  for (const tookMs of [0, 1, 1.5, 250, 251, 60_000]) targets[0].onAccepted(tookMs, 1000);
  expect(TIME_BUCKETS_MS.map((_, index) => read(T_CONNECTS + index))).toEqual([2, 1, 0, 0, 1, 1, 0, 1]);
  expect(read(T_CONNECTS + TIME_BUCKETS_MS.length)).toBe(0 + 1 + 1.5 + 250 + 251 + 60_000);
});

test("bytes, retries and hedges", () => {
  const { targets, read } = setUp(80, 443);
  targets[0].countBytesIn(10);
  targets[1].countBytesIn(5);
  targets[0].countBytesOut(7);
  targets[0].onPassedOver(false);
  targets[1].onPassedOver(false);
  targets[1].onPassedOver(true);
  expect([T_BYTES_IN, T_BYTES_OUT, T_RETRIES, T_HEDGES].map(read)).toEqual([15, 7, 2, 1]);
});

test("the slot of a task that has left may be another's: its attempts no longer count", () => {
  const { targets, read } = setUp(80);
  const [target] = targets;
  target.retire(1000);
  target.onFailed(ECONNREFUSED, 1000);
  target.onAccepted(3, 1000);
  target.onPassedOver(true);
  const fields = [T_FAILURES, T_FAILURES_BY, T_CONNECTS + 1, T_HEDGES];
  expect(fields.map(read)).toEqual([0, 0, 0, 0]);
});
