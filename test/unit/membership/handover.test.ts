/** This node in another process: one member to the others, never a failure. */
import { expect, test } from "bun:test";
import { encodeSerfMessage } from "../../../src/wire/gossip/index.ts";
import { alive, events, OneMachine, sentMessages } from "../../support/gossip/one-machine.ts";

const LEAVE = { type: "leave-intent", ltime: 9, node: "elsewhere", prune: false } as const;

function saidOfItself(machine: OneMachine): number[] {
  return sentMessages(machine.run(2_000)).flatMap((message) =>
    message.type === "alive" && message.node === "self" ? [message.incarnation] : [],
  );
}

test("the successor knows the members, and speaks with the next incarnation", () => {
  const before = new OneMachine();
  before.hear(alive("b", 7), alive("c", 3), { type: "dead", node: "c", incarnation: 3, from: "b" });
  const after = new OneMachine(before.machine.export(before.nowMs));
  expect([after.view("b"), after.view("c"), after.view("self")]).toEqual([
    ["alive", 7],
    ["dead", 3],
    ["alive", 2],
  ]);
  expect(new Set(saidOfItself(after))).toEqual(new Set([2]));
});

test("nothing is told of members that were known", () => {
  const before = new OneMachine();
  before.hear(alive("b", 7));
  const after = new OneMachine(before.machine.export(before.nowMs));
  expect(events(after.hear(alive("b", 7)))).toEqual([]);
  expect(events(after.hear(alive("c", 1)))).toEqual(["joined c"]);
});

test("a suspect is asked again by the successor", () => {
  const before = new OneMachine();
  before.hear(alive("b", 7), { type: "suspect", node: "b", incarnation: 7, from: "c" });
  const after = new OneMachine(before.machine.export(before.nowMs));
  expect(after.view("b")).toEqual(["alive", 7]);
  expect(events(after.run(60_000))).toContain("failed b");
});

test("serf's clocks go on", () => {
  const before = new OneMachine();
  before.hear({ type: "user", payload: encodeSerfMessage(LEAVE) });
  const { serf } = before.machine.export(before.nowMs);
  expect(serf.ltime).toBe(10);
  const after = new OneMachine(before.machine.export(before.nowMs));
  expect(after.machine.export(after.nowMs).serf).toEqual(serf);
});

test("a predecessor that goes on after all is newer than what its successor has said", () => {
  const before = new OneMachine();
  before.hear(alive("b", 7));
  const after = new OneMachine(before.machine.export(before.nowMs));
  const said = Math.max(...saidOfItself(after));
  before.machine.resume();
  expect(new Set(saidOfItself(before))).toEqual(new Set([said + 1]));
});
