/** Attempts that another task has overtaken: what they cost, and what is learnt from them. */
import { beforeEach, expect, test } from "bun:test";
import { createCounters } from "../../../../src/proxy/table/counters.ts";
import { DescriptorGate } from "../../../../src/proxy/table/descriptor-gate.ts";
import { type DescriptorShare, DescriptorShares } from "../../../../src/proxy/table/descriptor-shares.ts";
import { Target } from "../../../../src/proxy/table/target.ts";
import type { Attempt } from "../../../../src/proxy/tcp/attempt.ts";
import { watchOvertaken } from "../../../../src/proxy/tcp/overtaken.ts";
import type { TcpContext } from "../../../../src/proxy/tcp/tcp-context.ts";
import { DeadlineList } from "../../../../src/sys/deadline-list.ts";

const TOTAL = 64;
const TASK = {
  name: "task",
  node: null,
  distance: "local",
  identity: "task",
  address: "192.0.2.1",
  port: null,
  weight: 1,
  isDraining: false,
  slot: 0,
} as const;

let share: DescriptorShare;
let list: DeadlineList;
let context: TcpContext;
let waitsMs: number[];

beforeEach(() => {
  const shares = new DescriptorShares(new DescriptorGate(1_000_000, createCounters(1), 0, -1, () => {}));
  shares.divide(TOTAL, [{ slot: 0, ports: [{ protocol: "tcp" }] }], false);
  share = shares.tcp(0);
  list = new DeadlineList(3_000);
  waitsMs = [];
  const overtakenDeadline = (waitMs: number) => {
    waitsMs.push(waitMs);
    return list;
  };
  const worker = { descriptors: { isWaitedFor: false } };
  context = { worker, loop: { nowMs: 0 }, overtakenDeadline } as unknown as TcpContext;
});

/** Late, as its client is served by another. */
function lateAttempt(): { attempt: Attempt; target: Target; closed: () => number } {
  const target = new Target(TASK, 80, createCounters(1), 0);
  let closed = 0;
  const attempt = { target, isUndecided: true, timeoutMs: target.connectTimeoutMs, close: () => closed++ };
  return { attempt: attempt as unknown as Attempt, target, closed: () => closed };
}

test("each has a descriptor of its service's share until it is decided", () => {
  const late = [lateAttempt(), lateAttempt()];
  for (const { attempt } of late) watchOvertaken(context, attempt, share);
  expect([share.used, late.map(({ target }) => target.hasOvertaken)]).toEqual([2, [true, true]]);
  watchOvertaken(context, late[0]!.attempt, share); // one for each target
  expect(share.used).toBe(2);
  list.expire(3_000);
  expect([share.used, late.map(({ closed }) => closed())]).toEqual([0, [1, 1]]);
});

test("a service that has used up its share keeps none", () => {
  while (share.hasRoom(1)) share.add(1);
  const before = share.used;
  const { attempt, target } = lateAttempt();
  watchOvertaken(context, attempt, share);
  expect([share.used, target.hasOvertaken]).toEqual([before, false]);
});

test("they have the longer, the longer connects to their task take", () => {
  watchOvertaken(context, lateAttempt().attempt, share);
  const { attempt, target } = lateAttempt();
  for (let i = 0; i < 20; i++) target.onAccepted(1, i);
  watchOvertaken(context, { ...attempt, timeoutMs: target.connectTimeoutMs } as Attempt, share);
  expect(waitsMs[0]).toBeGreaterThan(waitsMs[1]!);
});
