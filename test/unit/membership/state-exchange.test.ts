/** Push/pull of many members: in slices, in order, and bounded. */
import { expect, test } from "bun:test";
import { encodePushPull, encodeSerfState, type RemoteMember } from "../../../src/wire/gossip/index.ts";
import { alive, events, OneMachine } from "../../support/gossip/one-machine.ts";

function remoteMembers(count: number, state: RemoteMember["state"] = "alive"): RemoteMember[] {
  return Array.from({ length: count }, (_, i) => ({ ...alive(`m${i}`, 1), name: `m${i}`, state }));
}

function exchange(members: readonly RemoteMember[]): Uint8Array {
  const userState = encodeSerfState({
    ltime: 1,
    eventLTime: 1,
    queryLTime: 1,
    events: [],
    statusLTimes: new Map(members.map(({ name }) => [name, 1])),
    leftMembers: [],
    digest: Uint8Array.of(7),
  });
  return encodePushPull({ isJoin: false, members, userState });
}

test("a small one is taken in at once", () => {
  const one = new OneMachine();
  const { answer, effects } = one.machine.answerStream(exchange(remoteMembers(100)), one.nowMs);
  expect(answer).not.toBeNull();
  expect(events(effects)).toHaveLength(100);
  expect(effects.at(-1)).toEqual({ kind: "remote-state", digest: Uint8Array.of(7) });
});

test("a large one is answered at once and taken in by slices, in order, the digest last", () => {
  const one = new OneMachine();
  const { answer, effects } = one.machine.answerStream(exchange(remoteMembers(5_000)), one.nowMs);
  expect(answer).not.toBeNull();
  expect(effects).toEqual([]);
  const told: string[] = [];
  for (let ticks = 0; ticks < 1_000 && one.machine.size <= 5_000; ticks++) {
    one.nowMs = Math.max(one.nowMs, one.machine.nextDeadlineMs());
    const joined = events(one.machine.tick(one.nowMs)).filter((event) => event.startsWith("joined"));
    expect(joined.length).toBeLessThanOrEqual(128);
    told.push(...joined);
  }
  expect(told).toEqual(Array.from({ length: 5_000 }, (_, i) => `joined m${i}`));
  expect(one.run(100).filter(({ kind }) => kind === "remote-state")).toHaveLength(1);
});

test("a small one does not wait for a large one", () => {
  const one = new OneMachine();
  one.machine.answerStream(exchange(remoteMembers(5_000)), one.nowMs);
  const small = exchange([{ ...alive("b", 1), name: "b", state: "alive" }]);
  expect(events(one.machine.answerStream(small, one.nowMs).effects)).toEqual(["joined b"]);
});

test("large ones beyond a few are answered but not taken in", () => {
  const one = new OneMachine();
  const large = exchange(remoteMembers(200));
  for (let i = 0; i < 10; i++) expect(one.machine.answerStream(large, one.nowMs).answer).not.toBeNull();
  expect(one.machine.stats.droppedTotal["too-many-exchanges"]).toBe(2);
  one.run(1_000);
  expect(one.machine.size).toBe(201);
  one.machine.answerStream(large, one.nowMs);
  expect(one.machine.stats.droppedTotal["too-many-exchanges"]).toBe(2);
});

test("the answer to a join that is large is a join when it has been taken in", () => {
  const one = new OneMachine();
  const [asked] = one.machine.join(alive("b", 1) as never, one.nowMs);
  if (asked?.kind !== "push-pull") throw new Error("no push/pull");
  const answer = exchange(remoteMembers(1_000));
  expect(one.machine.onPushPullAnswer(asked.exchange, answer, one.nowMs)).toEqual([]);
  const exchanged = one
    .run(1_000)
    .flatMap((effect) => (effect.kind === "event" && effect.event.type === "exchanged" ? effect.event : []));
  expect(exchanged).toMatchObject([{ isMerged: true }]);
  expect(one.machine.size).toBe(1_001);
});

test("a large one that ends in the middle of its members is malformed", () => {
  const one = new OneMachine();
  const whole = exchange(remoteMembers(1_000));
  one.machine.answerStream(whole.subarray(0, whole.length / 2), one.nowMs);
  one.run(1_000);
  expect(one.machine.size).toBe(1);
  expect(one.machine.stats.droppedTotal.malformed).toBe(1);
});

test("thousands of suspects are given up in a few wake-ups each of which is short", () => {
  const one = new OneMachine();
  one.machine.answerStream(exchange(remoteMembers(3_000)), one.nowMs);
  one.run(1_000);
  one.machine.answerStream(exchange(remoteMembers(3_000, "suspect")), one.nowMs);
  const ends: number[] = [];
  for (let ticks = 0; ticks < 10_000 && ends.reduce((a, b) => a + b, 0) < 3_000; ticks++) {
    one.nowMs = Math.max(one.nowMs, one.machine.nextDeadlineMs());
    ends.push(events(one.machine.tick(one.nowMs)).filter((event) => event.startsWith("failed")).length);
  }
  expect(Math.max(...ends)).toBeLessThanOrEqual(257);
  expect(ends.reduce((a, b) => a + b, 0)).toBe(3_000);
});
