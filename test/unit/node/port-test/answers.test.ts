import { beforeEach, describe, expect, test } from "bun:test";
import { Answers, type AskedBy } from "../../../../src/node/port-test/answers.ts";
import { Marks } from "../../../../src/node/port-test/marks.ts";
import { decodePortTest, type PortTestMessage, type Trial } from "../../../../src/node/port-test/message.ts";
import type { TestedPeer } from "../../../../src/node/port-test/trials.ts";
import { report, testedPeer, trial } from "../../../support/node/port-test.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const RUN = "0123456789abcdef";
const AT_HOME: AskedBy = { host: "192.0.2.2", isStream: true };
const ELSEWHERE: AskedBy = { host: "203.0.113.9", isStream: true };
const DATAGRAM: AskedBy = { host: "192.0.2.2", isStream: false };

let clock: ManualClock;
let marks: Marks;
let hasKeys: boolean;
let tested: TestedPeer[];
let finish: (trials: readonly Trial[]) => void;
let sent: PortTestMessage[];
let reliableError: string | null;

function answers(): Answers {
  return new Answers({
    self: "a",
    hasKeys: () => hasKeys,
    peer: (name) => (name === "stranger" ? null : testedPeer(name)),
    run: (peer) => {
      tested.push(peer);
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
    echoHeardMs: () => null,
    problems: () => ["portmesh4789 is down"],
    sendReliably: async (_, payload) => {
      if (reliableError === null) sent.push(decodePortTest(payload)!);
      return reliableError;
    },
    sendDatagram: (_, payload) => sent.push(decodePortTest(payload)!),
    marks,
    clock,
  });
}

function start(from: string, run = RUN, isPushed = false) {
  return { type: "start", from, run, isPushed, timeoutMs: 1_500 } as const;
}

beforeEach(() => {
  clock = new ManualClock();
  marks = new Marks();
  [tested, sent, reliableError] = [[], [], null];
  hasKeys = true;
});

describe("answers", () => {
  test("a member that asks is tested at the address that it announces, and gets what came of it", async () => {
    const node = answers();
    expect(node.onAsked(start("b"), ELSEWHERE)).toEqual({ type: "started" });
    expect(tested.map(({ address }) => address)).toEqual(["192.0.2.2"]);
    const collect = { type: "collect", from: "b", run: RUN } as const;
    expect(node.onAsked(collect, AT_HOME)).toMatchObject({ type: "report", isDone: false });
    marks.onMark({ type: "mark", from: "b", run: RUN, isFresh: true }, "192.0.2.7");
    finish([trial()]);
    await Promise.resolve();
    expect(node.onAsked(collect, AT_HOME)).toMatchObject({
      isDone: true,
      heard: { fresh: "192.0.2.7", known: null },
      trials: [trial()],
      problems: ["portmesh4789 is down"],
    });
  });

  test("a stranger is not tested, nor is an unknown test reported", () => {
    const node = answers();
    expect(node.onAsked(start("stranger"), AT_HOME)).toMatchObject({ type: "refused" });
    expect(node.onAsked({ type: "collect", from: "b", run: RUN }, AT_HOME)).toMatchObject({
      type: "refused",
    });
    expect(tested).toEqual([]);
  });

  test("without keys the question must come over TCP from the address that will be tested", () => {
    hasKeys = false;
    const node = answers();
    expect(node.onAsked(start("b"), ELSEWHERE)).toMatchObject({ type: "refused" });
    expect(node.onAsked(start("b"), DATAGRAM)).toBeNull();
    expect(tested).toEqual([]);
    expect(node.onAsked(start("b"), AT_HOME)).toEqual({ type: "started" });
  });

  test("no node makes it test more often than once a second for one node, or for more than 64 at once", async () => {
    const node = answers();
    const again = "fedcba9876543210";
    expect(node.onAsked(start("b"), AT_HOME)).toEqual({ type: "started" });
    expect(node.onAsked(start("b"), AT_HOME)).toEqual({ type: "started" }); // the same question twice
    expect(node.onAsked(start("b", again), AT_HOME)).toMatchObject({ type: "refused", isBusy: true });
    expect(tested).toHaveLength(1);
    for (let i = 1; i < 64; i++) expect(node.onAsked(start(`n${i}`), AT_HOME)).toEqual({ type: "started" });
    expect(node.onAsked(start("late"), AT_HOME)).toMatchObject({ type: "refused", isBusy: true });
    await clock.advance(1_000);
    expect(node.onAsked(start("b", again), AT_HOME)).toEqual({ type: "started" });
    await clock.advance(12_001);
    expect(node.onAsked(start("late"), AT_HOME)).toEqual({ type: "started" });
    expect(tested).toHaveLength(66);
  });

  test("who asks by a datagram is sent the report, over UDP when TCP fails; who asks over TCP too is not", async () => {
    const node = answers();
    const pushed = async (asked: readonly (readonly [ReturnType<typeof start>, AskedBy])[]) => {
      sent = [];
      for (const [question, by] of asked) node.onAsked(question, by);
      finish([trial()]);
      await Promise.resolve();
      await clock.advance(2_000);
      await Promise.resolve();
      await Promise.resolve();
      return sent;
    };
    const expected = report({
      from: "a",
      trials: [trial()],
      heard: { fresh: null, known: null, echo: false },
    });
    expect(await pushed([[start("b", RUN, true), DATAGRAM]])).toEqual([
      { ...expected, problems: ["portmesh4789 is down"] },
    ]);
    reliableError = "ETIMEDOUT";
    expect(await pushed([[start("c", RUN, true), DATAGRAM]])).toHaveLength(1);
    const both = [[start("d", RUN, true), DATAGRAM] as const, [start("d"), AT_HOME] as const];
    expect(await pushed(both)).toEqual([]);
  });
});
