import { describe, expect, test } from "bun:test";
import { compareIncarnations } from "../../../src/membership/incarnation.ts";
import { MAX_MEMBERS } from "../../../src/membership/membership.ts";
import type { GossipMessage } from "../../../src/wire/gossip/index.ts";
import { encodeMessage, encodeSerfMessage, encodeTags } from "../../../src/wire/gossip/index.ts";
import { alive, events, OneMachine, OTHER_ADDRESS, sentMessages } from "../../support/gossip/one-machine.ts";

const MAX = 0xffff_ffff;
const LEAP = 2 ** 16;
const FAR = 2 ** 31;
const ELSEWHERE = { address: Uint8Array.of(10, 0, 0, 9) };

function suspect(node: string, incarnation: number, from = "c"): GossipMessage {
  return { type: "suspect", node, incarnation, from };
}

function dead(node: string, incarnation: number, from = "c"): GossipMessage {
  return { type: "dead", node, incarnation, from };
}

/** What was heard before about b, what is heard now, what is known then, what is told. */
const TABLE: readonly (readonly [string, GossipMessage[], GossipMessage, string | null, string[]])[] = [
  ["alive, unknown", [], alive("b", 1), "alive 1", ["joined b"]],
  ["alive, same incarnation", [alive("b", 1)], alive("b", 1), "alive 1", []],
  ["alive, older", [alive("b", 5)], alive("b", 4), "alive 5", []],
  ["alive, newer", [alive("b", 1)], alive("b", 2), "alive 2", []],
  [
    "alive, other tags",
    [alive("b", 1)],
    alive("b", 2, { meta: encodeTags({ pm: "1", cluster: "test", x: "y" }) }),
    "alive 2",
    ["updated b"],
  ],
  ["alive, moved while alive", [alive("b", 1)], alive("b", 2, ELSEWHERE), "alive 1", []],
  ["alive, moved while suspect", [alive("b", 1), suspect("b", 1)], alive("b", 2, ELSEWHERE), "suspect 1", []],
  [
    "alive, moved after it left",
    [alive("b", 3), dead("b", 3, "b")],
    alive("b", 1, ELSEWHERE),
    "alive 1",
    ["joined b"],
  ],
  [
    "alive, moved after it died",
    [alive("b", 3), dead("b", 3)],
    alive("b", 1, ELSEWHERE),
    "alive 1",
    ["joined b"],
  ],
  ["alive refutes suspect", [alive("b", 1), suspect("b", 1)], alive("b", 2), "alive 2", ["cleared b"]],
  ["alive, same incarnation, does not", [alive("b", 1), suspect("b", 1)], alive("b", 1), "suspect 1", []],
  [
    "suspect, confirmed by a newer incarnation",
    [alive("b", 1), suspect("b", 1)],
    suspect("b", 2, "d"),
    "suspect 2",
    [],
  ],
  ["alive refutes dead", [alive("b", 1), dead("b", 1)], alive("b", 2), "alive 2", ["joined b"]],
  ["alive, same incarnation, stays dead", [alive("b", 1), dead("b", 1)], alive("b", 1), "dead 1", []],
  [
    "alive after left at a higher one",
    [alive("b", 1), dead("b", 1, "b")],
    alive("b", 2),
    "alive 2",
    ["joined b"],
  ],
  ["alive, incarnation 0", [], alive("b", 0), null, []],
  ["alive, the last incarnation", [], alive("b", MAX), `alive ${MAX}`, ["joined b"]],
  ["alive, after the last", [alive("b", MAX)], alive("b", 1), "alive 1", []],
  ["alive, 0 after the last, as agents count", [alive("b", MAX)], alive("b", 0), "alive 0", []],
  ["suspect, the last there is", [alive("b", MAX)], suspect("b", MAX), `suspect ${MAX}`, ["suspected b"]],
  ["suspect, far", [alive("b", 1)], suspect("b", FAR), "alive 1", []],
  [
    "suspect, as far as it may be",
    [alive("b", 1)],
    suspect("b", LEAP + 1),
    `suspect ${LEAP + 1}`,
    ["suspected b"],
  ],
  ["suspect, further", [alive("b", 1)], suspect("b", LEAP + 2), "alive 1", []],
  ["dead, far", [alive("b", 1)], dead("b", FAR), "alive 1", []],
  ["left, far", [alive("b", 1)], dead("b", FAR, "b"), "alive 1", []],
  ["alive refutes the last", [alive("b", MAX), dead("b", MAX)], alive("b", 1), "alive 1", ["joined b"]],
  ["suspect, unknown", [], suspect("b", 1), null, []],
  ["suspect", [alive("b", 1)], suspect("b", 1), "suspect 1", ["suspected b"]],
  ["suspect, newer", [alive("b", 1)], suspect("b", 4), "suspect 4", ["suspected b"]],
  ["suspect, older", [alive("b", 2)], suspect("b", 1), "alive 2", []],
  ["suspect, again", [alive("b", 1), suspect("b", 1)], suspect("b", 1, "d"), "suspect 1", []],
  ["suspect, dead already", [alive("b", 1), dead("b", 1)], suspect("b", 1), "dead 1", []],
  ["suspect, the last incarnation", [alive("b", 1)], suspect("b", MAX), "alive 1", []],
  ["dead, unknown", [], dead("b", 1), null, []],
  ["dead", [alive("b", 1)], dead("b", 1), "dead 1", ["failed b"]],
  ["dead, suspect before", [alive("b", 1), suspect("b", 1)], dead("b", 2), "dead 2", ["failed b"]],
  ["dead, by itself", [alive("b", 1)], dead("b", 1, "b"), "left 1", ["left b"]],
  ["dead, older", [alive("b", 2)], dead("b", 1), "alive 2", []],
  ["dead never becomes left", [alive("b", 1), dead("b", 1)], dead("b", 1, "b"), "dead 1", []],
  ["left never becomes dead", [alive("b", 1), dead("b", 1, "b")], dead("b", 1), "left 1", []],
  ["dead, again and newer, is remembered", [alive("b", 1), dead("b", 1)], dead("b", 7), "dead 7", []],
  ["dead, the last incarnation", [alive("b", 1)], dead("b", MAX), "alive 1", []],
];

test.each([...TABLE])("%s", (_title, before, now, known, told) => {
  const one = new OneMachine();
  for (const message of before) one.hear(message);
  expect(events(one.hear(now))).toEqual(told);
  expect(one.view("b")?.join(" ") ?? null).toBe(known);
});

describe("about this node", () => {
  test.each([
    ["suspect", suspect("self", 1), 2],
    ["suspect, newer", suspect("self", 9), 10],
    ["suspect, older", suspect("self", 0), 1],
    ["dead", dead("self", 1), 2],
    ["left, in its own name", dead("self", 5, "self"), 6],
    ["alive, newer", alive("self", 4), 5],
    ["alive, echo", alive("self", 1), 1],
    ["alive, same with other tags", alive("self", 1, { meta: encodeTags({ role: "x" }) }), 2],
    ["alive elsewhere is a conflict", alive("self", 9, ELSEWHERE), 1],
    ["accusation of the last incarnation, which is old", dead("self", MAX), 1],
    ["suspect, far", suspect("self", FAR), FAR + 1],
    ["dead, far", dead("self", FAR), FAR + 1],
    ["left, far", dead("self", FAR, "self"), FAR + 1],
    ["alive, far, with other tags", alive("self", FAR, { meta: encodeTags({ role: "x" }) }), FAR + 1],
    ["alive, far, an echo: it is known so", alive("self", FAR), FAR],
  ] as const)("%s", (_title, message, incarnation) => {
    const one = new OneMachine();
    one.hear(message);
    expect(one.view("self")).toEqual(["alive", incarnation]);
  });

  test("a refutation is gossiped, and costs health", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    expect(events(one.hear(suspect("self", 3)))).toEqual(["refuted"]);
    expect(one.machine.stats.healthScore).toBe(1);
    const said = sentMessages(one.run(400)).filter((message) => message.type === "alive");
    expect(said.find(({ node }) => node === "self")?.incarnation).toBe(4);
  });

  test("whatever it is accused of, it has an answer that is newer", () => {
    for (const claimed of [0, 1, 2, LEAP, LEAP + 2, FAR - 1, FAR, FAR + 1, MAX - LEAP, MAX - 1, MAX]) {
      for (const earlier of [1, FAR, MAX - 1, MAX]) {
        const one = new OneMachine();
        one.hear(alive("self", earlier), suspect("self", claimed), dead("self", claimed));
        const [state, own] = one.view("self")!;
        expect(state).toBe("alive");
        expect(compareIncarnations(own, claimed)).toBe("newer");
        expect(own).toBeGreaterThan(0);
      }
    }
  });

  test("an accusation that is old or far is answered where it came from, too", () => {
    for (const claimed of [0, FAR]) {
      const one = new OneMachine();
      const answers = sentMessages(one.hear(dead("self", claimed)));
      const [incarnation] = [one.view("self")![1]];
      expect(answers).toMatchObject([{ type: "alive", node: "self", incarnation }]);
    }
  });

  test("after the last incarnation comes the first", () => {
    const one = new OneMachine();
    one.hear(alive("self", FAR), alive("self", MAX));
    expect(one.view("self")).toEqual(["alive", MAX]);
    one.machine.updateTags({ pm: "1", cluster: "test", x: "y" });
    expect(one.view("self")).toEqual(["alive", 1]);
  });
});

describe("of others", () => {
  const FROM_THIRD = { ip: Uint8Array.of(10, 0, 0, 3), port: 7946 };

  test("a far alive is believed of the member itself, and not handed on", () => {
    const one = new OneMachine();
    one.hear(alive("b", FAR));
    one.run(900); // until what was heard has been handed on
    expect(one.machine.stats.queueLengths.membership).toBe(0);
    const far = [encodeMessage(alive("b", 5))];
    one.machine.onPacket(far, FROM_THIRD, one.nowMs);
    expect(one.view("b")).toEqual(["alive", FAR]);
    expect(one.machine.stats.droppedTotal["implausible-incarnation"]).toBe(1);
    one.machine.onPacket(far, OTHER_ADDRESS, one.nowMs);
    expect(one.view("b")).toEqual(["alive", 5]);
    expect(one.machine.stats.queueLengths.membership).toBe(0);
  });

  test("who suspects a member that has left hears its goodbye, unless it knows of a later life", () => {
    const one = new OneMachine();
    one.hear(alive("b", 3), dead("b", 3, "b"));
    for (const known of [2, 3]) {
      const answers = sentMessages(one.hear(suspect("b", known)));
      expect(answers).toMatchObject([{ type: "dead", node: "b", from: "b", incarnation: 3 }]);
    }
    expect(sentMessages(one.hear(suspect("b", 4)))).toEqual([]);
    expect(one.view("b")).toEqual(["left", 3]);
  });

  test("a far alive of a dead one is answered with its death, which it can refute", () => {
    const one = new OneMachine();
    one.hear(alive("b", FAR), dead("b", FAR));
    one.machine.onPacket([encodeMessage(alive("b", 1))], FROM_THIRD, one.nowMs);
    const said = sentMessages(one.run(1_000)).filter(({ type }) => type === "dead");
    expect(said[0]).toMatchObject({ node: "b", incarnation: FAR });
  });
});

describe("poison", () => {
  test.each([
    ["no versions", []],
    ["five", [1, 5, 2, 2, 5]],
    ["seven", [1, 5, 2, 2, 5, 5, 0]],
    ["delegate 0/0/0", [1, 5, 2, 0, 0, 0]],
    ["least of 0", [0, 5, 2, 2, 5, 5]],
    ["least above most", [3, 2, 2, 2, 5, 5]],
    ["delegates we do not speak", [1, 5, 2, 6, 9, 6]],
  ])("an alive with versions of another kind is no member: %s", (_title, versions) => {
    const one = new OneMachine();
    const told = events(one.hear(alive("b", 1, { versions: Uint8Array.from(versions) })));
    expect(told).toEqual(["incompatible b"]);
    expect(one.view("b")).toBeNull();
    one.hear(alive("b", 1));
    one.hear(alive("b", 2, { versions: Uint8Array.from(versions) }));
    expect(one.view("b")).toEqual(["alive", 1]);
  });

  test("a member of another cluster is refused, one of none is welcome", () => {
    const one = new OneMachine();
    const other = encodeTags({ pm: "1", cluster: "other" });
    expect(events(one.hear(alive("b", 1, { meta: other })))).toEqual(["other-cluster b"]);
    expect(one.view("b")).toBeNull();
    expect(events(one.hear(alive("agent", 1, { meta: encodeTags({ role: "web" }) })))).toEqual([
      "joined agent",
    ]);
  });

  test("bytes that are no message are counted", () => {
    const one = new OneMachine();
    one.machine.onPacket([Uint8Array.of(1, 2, 3), new Uint8Array()], alive("b", 1) as never, one.nowMs);
    expect(one.machine.stats.droppedTotal.malformed).toBe(2);
  });

  test("a message too large for any packet is not kept to be gossiped", () => {
    const one = new OneMachine();
    const event = { type: "user-event", ltime: 1, name: "deploy", coalesce: false } as const;
    const payload = encodeSerfMessage({ ...event, payload: new Uint8Array(1_500) });
    one.hear({ type: "user", payload });
    expect(one.machine.stats.queueLengths.serf).toBe(0);
    expect(one.machine.stats.droppedTotal["too-large-to-gossip"]).toBe(1);
  });

  test("a name or tags longer than members have are not kept", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1, { meta: new Uint8Array(513) }));
    one.hear(alive("b".repeat(256), 1));
    expect(one.machine.members()).toHaveLength(1);
    one.hear(alive("b", 1, { meta: new Uint8Array(512) }), alive("b".repeat(255), 1));
    expect(one.machine.members()).toHaveLength(3);
  });

  test("more members than there may be are refused, and told", () => {
    const one = new OneMachine();
    const names = Array.from({ length: MAX_MEMBERS + 10 }, (_, i) => `made-up-${i}`);
    const told = names.flatMap((name) => events(one.hear(alive(name, 1))));
    expect(one.machine.size).toBe(MAX_MEMBERS);
    expect(told.filter((event) => event.startsWith("too-many"))).toHaveLength(11);
    expect(one.machine.stats.droppedTotal["too-many-members"]).toBe(11);
  });
});

describe("time", () => {
  test("a suspect that nobody confirms and that is silent is given up", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.hear(suspect("b", 1));
    expect(events(one.run(3_990))).not.toContain("failed b");
    expect(events(one.run(20))).toContain("failed b");
  });

  test("timers that come late give nobody up at once: its word may be on its way", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    one.hear(suspect("b", 1));
    one.run(2_000);
    one.nowMs += 60_000; // the process stood still
    expect(events(one.machine.tick(one.nowMs))).not.toContain("failed b");
    one.hear(alive("b", 2));
    expect(one.view("b")).toEqual(["alive", 2]);
  });

  test("a probe that was under way when the process stood still accuses nobody", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1));
    while (!sentMessages(one.run(10)).some(({ type }) => type === "ping"));
    one.nowMs += 60_000;
    expect(events(one.machine.tick(one.nowMs))).toEqual([]);
    expect(one.view("b")).toEqual(["alive", 1]);
    expect(one.machine.stats.healthScore).toBe(1);
  });

  test("the dead are forgotten", () => {
    const one = new OneMachine();
    one.hear(alive("b", 1), dead("b", 1));
    expect(events(one.run(40_000))).toContain("forgotten b");
    expect(one.view("b")).toBeNull();
  });

  test("leaving alone needs no time, and is no absence", () => {
    const one = new OneMachine();
    expect(events([...one.machine.leave(one.nowMs), ...one.run(1_000)])).toEqual(["may-close"]);
    expect(one.machine.stats.healthScore).toBe(0);
  });
});
