import { describe, expect, test } from "bun:test";
import {
  decodePortTest,
  encodePortTest,
  type PortTestMessage,
} from "../../../../src/node/port-test/message.ts";
import type { StreamAnswer } from "../../../../src/node/port-test/port-tester.ts";
import { PortTester, type PortTesterOptions } from "../../../../src/node/port-test/port-tester.ts";
import type { TestedPeer } from "../../../../src/node/port-test/trials.ts";
import { steadyClock } from "../../../../src/sys/clock.ts";
import { report, testedPeer } from "../../../support/node/port-test.ts";

/** Everything gets through, and is answered at once. */
function tester(peers: readonly TestedPeer[], rest: Partial<PortTesterOptions>): PortTester {
  return new PortTester({
    self: "a",
    hasKeys: () => false,
    peer: (name) => peers.find((peer) => peer.name === name) ?? null,
    peers: () => peers,
    problems: () => [],
    ask: async () => ({ payload: null, failure: "no-answer" }),
    sendReliably: async () => null,
    sendDatagram: () => {},
    echoHeardMs: () => null,
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    clock: steadyClock,
    network: {
      tryConnection: async () => null,
      tryDatagrams: async () => ({ isAnswered: true, error: null }),
      freshMark: () => ({ request: new Uint8Array(), isAnswer: () => true }),
      canGossipTo: () => true,
      sendMark: () => {},
      relayHello: () => ({ request: new Uint8Array(), isAnswer: () => true }),
      probeEcho: () => {},
      echoAnsweredMs: () => null,
      nowMs: () => performance.now(),
      wait: (ms) => Bun.sleep(ms),
    },
    ...rest,
  });
}

function answer(said: PortTestMessage): StreamAnswer {
  return { payload: encodePortTest(said), failure: null };
}

describe("port tester", () => {
  test.each([
    [
      "an older version",
      { payload: null, failure: "no-answer" },
      "it runs an older version without port tests",
    ],
    ["a node with another key", { payload: null, failure: "unreadable" }, "b uses another key or protocol"],
    [
      "a newer version",
      { payload: Uint8Array.of(20, 99), failure: null },
      "it runs an older version without port tests",
    ],
  ] as const)("of %s only what goes there is known", async (_, asked, notTested) => {
    const [peer] = await tester([testedPeer("b")], { ask: async () => asked }).test();
    expect(peer!.notTested).toBe(notTested);
    expect(peer!.tests.map(({ from, outcome }) => `${from} ${outcome}`)).toEqual(Array(4).fill("a open"));
  });

  test("a member that is not portmesh is asked nothing", async () => {
    const peer = testedPeer("s", { isPortmesh: false, relay: null, udpRelay: null });
    const questions: string[] = [];
    const ask = async ({ name }: TestedPeer): Promise<StreamAnswer> => {
      questions.push(name);
      return { payload: null, failure: "no-answer" };
    };
    const [ports] = await tester([peer], { ask }).test();
    expect(ports).toMatchObject({ isPortmesh: false, notTested: "s is not a portmesh node" });
    expect(questions).toEqual([]);
  });

  test("a node that is busy is asked again", async () => {
    let starts = 0;
    const ask = async (_: TestedPeer, payload: Uint8Array): Promise<StreamAnswer> => {
      const said = decodePortTest(payload)!;
      if (said.type === "collect") return answer(report({ run: said.run }));
      starts++;
      return answer(starts === 1 ? { type: "refused", reason: "busy", isBusy: true } : { type: "started" });
    };
    const [peer] = await tester([testedPeer("b")], { ask }).test();
    expect(starts).toBe(2);
    expect(peer!.notTested).toBeNull();
  });

  test("50 nodes are tested beside each other, and a second doctor waits for the first", async () => {
    const peers = Array.from({ length: 50 }, (_, index) => testedPeer(`n${index}`));
    let [open, most] = [0, 0];
    const ask = async (): Promise<StreamAnswer> => {
      most = Math.max(most, ++open);
      await Bun.sleep(20);
      open--;
      return { payload: null, failure: "no-answer" };
    };
    const all = tester(peers, { ask });
    const [first, second] = await Promise.all([all.test(), all.test()]);
    expect(first).toBe(second);
    expect(first).toHaveLength(50);
    expect(most).toBe(50);
  });
});
