import { describe, expect, test } from "bun:test";
import type { DeadMessage, GossipMessage } from "../../../src/wire/gossip/index.ts";
import { encodeTags } from "../../../src/wire/gossip/index.ts";
import { alive, events, OneMachine, OTHER_ADDRESS, sentMessages } from "../../support/gossip/one-machine.ts";

const ELSEWHERE = { ip: Uint8Array.of(10, 0, 0, 9), port: 7946 };
const there = (incarnation: number, node = "b") => alive(node, incarnation, { address: ELSEWHERE.ip });
const goodbye = (incarnation: number, node = "b"): DeadMessage => {
  return { type: "dead", node, from: node, incarnation };
};

describe("another member that moves", () => {
  test("stays alive: a goodbye and a newer sign of life in one packet", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    expect(events(one.hear(goodbye(2), there(3)))).toEqual(["moved b"]);
    expect(one.view("b")).toEqual(["alive", 3]);
    expect(one.machine.member("b")!.address).toEqual(ELSEWHERE);
  });

  test("does so once, however often it says so, and no word of its old address changes that", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.hear(goodbye(2), there(3));
    expect(events(one.hear(goodbye(2), there(3)))).toEqual([]);
    expect(events(one.hear(alive("b", 1)))).toEqual([]);
    expect(one.machine.member("b")!.address).toEqual(ELSEWHERE);
  });

  test("clears a suspicion, and comes back from the dead", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1), { type: "suspect", node: "b", incarnation: 1, from: "c" });
    expect(events(one.hear(goodbye(2), there(3)))).toEqual(["cleared b", "moved b"]);
    one.hear({ type: "dead", node: "b", incarnation: 3, from: "c" });
    expect(events(one.hear(goodbye(4), alive("b", 5)))).toEqual(["joined b"]);
    expect(one.view("b")).toEqual(["alive", 5]);
  });

  test("is not suspected because its old address does not answer", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    for (let steps = 0; steps < 50; steps++)
      if (sentMessages(one.run(100)).some(({ type }) => type === "ping")) break;
    one.hear(goodbye(2), there(3));
    expect(events(one.run(1_000))).toEqual([]);
    expect(one.view("b")).toEqual(["alive", 3]);
  });

  test.each<[string, GossipMessage[], string[]]>([
    ["with one that others say", [{ ...goodbye(2), from: "c" }, there(3)], ["failed b", "joined b"]],
    ["with other tags it leaves and comes", [goodbye(2), tagged(3)], ["left b", "joined b"]],
    ["a goodbye alone is one", [goodbye(2)], ["left b"]],
    ["so is one before something else", [goodbye(2), alive("c", 1)], ["left b", "joined c"]],
  ])("%s", (_, said, told) => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    expect(events(one.hear(...said))).toEqual(told);
  });
});

describe("without its goodbye", () => {
  const ofB = (effects: Parameters<typeof events>[0]) =>
    events(effects).filter((event) => !event.startsWith("suspected"));

  test.each<[string, GossipMessage[]]>([
    ["only alive elsewhere", [there(3)]],
    ["with the goodbye of another", [goodbye(2, "c"), there(3)]],
    ["with a goodbye of long ago", [goodbye(0), there(3)]],
  ])("%s: another member of its name, when none comes", (_, said) => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    expect(events(one.hear(...said))).toEqual([]);
    expect(ofB(one.run(2_900))).toEqual([]);
    one.hear(...said);
    expect(ofB(one.run(200))).toEqual(["conflict b"]);
    expect(ofB(one.run(500))).toEqual([]);
    one.hear(...said);
    expect(ofB(one.run(3_000))).toContain("conflict b");
    expect(one.machine.member("b")!.address).toEqual(OTHER_ADDRESS);
  });

  test.each<[string, GossipMessage[]]>([
    ["its goodbye is on the way", [goodbye(2), there(3)]],
    ["it leaves", [goodbye(2)]],
    ["others have given it up", [{ type: "dead", node: "b", from: "c", incarnation: 2 }]],
  ])("%s: no conflict", (_, said) => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.hear(there(3));
    one.run(1_000);
    one.hear(...said);
    expect(ofB(one.run(10_000))).not.toContain("conflict b");
  });

  test("a node that stood still hears what has arrived before it reports a conflict", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.hear(there(3));
    one.nowMs += 10_000;
    expect(events(one.machine.tick(one.nowMs))).not.toContain("conflict b");
    one.hear(goodbye(2), there(3));
    expect(ofB(one.run(10_000))).not.toContain("conflict b");
  });
});

describe("this member", () => {
  test("tells all members, again and again, and answers as before", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1), alive("c", 1), { type: "dead", node: "c", incarnation: 1, from: "c" });
    const effects = one.machine.moveTo(ELSEWHERE, one.nowMs);
    const pairs = (all: typeof effects) =>
      all.flatMap((effect) => {
        if (effect.kind !== "packet" || effect.messages.length !== 2) return [];
        const [left, said] = sentMessages([effect]);
        return left?.type === "dead" && said?.type === "alive" ? [{ to: effect.to, left, said }] : [];
      });
    const [pair] = pairs(effects);
    expect(pairs(effects).length).toBe(1);
    expect(pair!.to).toEqual(OTHER_ADDRESS);
    expect(pair!.left).toMatchObject({ node: "self", from: "self" });
    expect(pair!.said).toMatchObject({ node: "self", address: ELSEWHERE.ip });
    expect(pair!.said.incarnation).toBe(pair!.left.incarnation + 1);
    const again = pairs(one.run(20_000)).filter(({ left }) => left.node === "self");
    expect(again.length).toBeGreaterThan(3);
    expect(pairs(one.run(60_000))).toEqual([]);
  });

  test("tells one that it has given up, and that may not have given up this one", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1), { type: "dead", node: "b", incarnation: 1, from: "c" });
    const packets = one.machine.moveTo(ELSEWHERE, one.nowMs).filter(({ kind }) => kind === "packet");
    expect(packets).toMatchObject([{ to: OTHER_ADDRESS }]);
  });

  test("knows the echo of its old address, and a rival there", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.machine.moveTo(ELSEWHERE, one.nowMs);
    expect(events(one.hear(alive("self", 1)))).toEqual([]);
    expect(events(one.hear(alive("self", 9)))).toEqual(["conflict self"]);
    expect(one.machine.member("self")!.address).toEqual(ELSEWHERE);
  });

  test("moves nowhere when it is there, and when it leaves", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    const { address } = one.machine.member("self")!;
    expect(one.machine.moveTo(address, one.nowMs)).toEqual([]);
    one.machine.leave(one.nowMs);
    expect(one.machine.moveTo(ELSEWHERE, one.nowMs)).toEqual([]);
    expect(one.machine.member("self")!.address).toEqual(address);
  });
});

function tagged(incarnation: number): GossipMessage {
  return alive("b", incarnation, {
    address: ELSEWHERE.ip,
    meta: encodeTags({ pm: "1", cluster: "test", x: "y" }),
  });
}
