import { describe, expect, test } from "bun:test";
import { judge, type PortEvidence } from "../../../../src/node/port-test/judge.ts";
import type { Heard, Outcome, Trial } from "../../../../src/node/port-test/message.ts";
import { NOTHING_HEARD, report, testedPeer, trial } from "../../../support/node/port-test.ts";

const OVERLAY = { address: "10.200.0.2", underlayAddress: "192.0.2.2", port: 4789, echoPort: 7946 };
const gossipUdp = (outcome: Outcome) => trial({ protocol: "udp", outcome });
const vxlan = (outcome: Outcome) => trial({ kind: "overlay", protocol: "udp", port: 4789, outcome });
const insideTcp = (outcome: Outcome) => trial({ kind: "relay", port: 4789, isInside: true, outcome });
const heardOf = (changes: Partial<Heard>): Heard => ({ ...NOTHING_HEARD, ...changes });

function judged(seen: Partial<PortEvidence>): string[] {
  const all = {
    self: "a",
    peer: testedPeer("b"),
    trials: [],
    heard: NOTHING_HEARD,
    report: null,
    notTested: null,
  };
  return judge({ ...all, ...seen }).tests.map(
    ({ kind, protocol, port, from, to, outcome }) => `${kind} ${port}/${protocol} ${from}>${to} ${outcome}`,
  );
}

describe("judge: datagrams of gossip", () => {
  const row = (out: Outcome, there: Partial<Heard>, back: Outcome, here: Partial<Heard>) =>
    judged({
      trials: [gossipUdp(out)],
      heard: heardOf(here),
      report: report({ heard: heardOf(there), trials: [gossipUdp(back)] }),
    }).map((line) => line.split(" ").at(-1)!) as [Outcome, Outcome];

  test.each([
    ["answered both ways", "open", {}, "open", {}, ["open", "open"]],
    ["the answer was lost, the mark came", "sent", { fresh: "192.0.2.1" }, "sent", {}, ["open", "silent"]],
    ["only from the gossip port", "sent", { known: "192.0.2.1" }, "sent", {}, ["replies-only", "silent"]],
    ["nothing came", "sent", {}, "sent", { fresh: "192.0.2.2" }, ["silent", "open"]],
    ["its own firewall", "not-sent", {}, "refused", {}, ["not-sent", "refused"]],
  ] as const)("%s", (_, out, there, back, here, expected) => {
    expect(row(out, there, back, here)).toEqual([...expected]);
  });

  test("a node that has not reported leaves what comes from it unknown", () => {
    expect(judged({ trials: [gossipUdp("sent"), trial()], notTested: "older" })).toEqual([
      "gossip 7946/udp a>b silent",
      "gossip 7946/tcp a>b open",
    ]);
  });
});

describe("judge: the overlay", () => {
  const peer = testedPeer("b", { overlay: OVERLAY });
  const both = (out: readonly Trial[], there: Partial<Heard>, back: readonly Trial[], here: Partial<Heard>) =>
    judged({
      peer,
      trials: out,
      heard: heardOf(here),
      report: report({ heard: heardOf(there), trials: [...back] }),
    });

  test("an echo that came back has gone both ways, from either node", () => {
    expect(both([vxlan("open")], {}, [vxlan("sent")], {})).toEqual([
      "overlay 4789/udp a>b open",
      "overlay 4789/udp b>a open",
    ]);
  });

  test("echoes that arrive in one direction tell which one is closed", () => {
    const insides = [insideTcp("silent")];
    expect(both([vxlan("sent"), ...insides], {}, [vxlan("sent"), ...insides], { echo: true })).toEqual([
      "overlay 4789/udp a>b silent",
      "relay 4789/tcp a>b not-tested",
      "overlay 4789/udp b>a open",
      "relay 4789/tcp b>a not-tested",
    ]);
  });

  test("where connections pass through the overlay and echoes do not, the port of echoes is closed inside it", () => {
    expect(both([vxlan("sent"), insideTcp("open")], {}, [vxlan("sent")], { echo: true })).toEqual([
      "overlay 4789/udp a>b open",
      "echo 7946/udp a>b silent",
      "relay 4789/tcp a>b open",
      "overlay 4789/udp b>a open",
    ]);
  });

  test("a port that is closed inside the overlay counts when the overlay carries echoes", () => {
    expect(both([vxlan("open"), insideTcp("silent")], { echo: true }, [], {})).toEqual([
      "overlay 4789/udp a>b open",
      "relay 4789/tcp a>b silent",
    ]);
  });
});
