import { describe, expect, test } from "bun:test";
import { PROFILES } from "../../../src/membership/index.ts";
import { Probe } from "../../../src/membership/probe.ts";
import { RelayedPings } from "../../../src/membership/relayed-pings.ts";
import { encodeMessage } from "../../../src/wire/gossip/index.ts";
import { alive, OneMachine, OTHER_ADDRESS, sentMessages } from "../../support/gossip/one-machine.ts";

const START_MS = 10_000;

function probeOf(score = 0): Probe {
  return new Probe(PROFILES.lan, "b", 7, START_MS, score, { helpAfterMs: 500, answerWithinMs: 500 });
}

describe("verdict", () => {
  test("alive as soon as it is acked, and no help is asked for", () => {
    const probe = probeOf();
    expect(probe.verdict(START_MS + 100)).toBeNull();
    probe.onAck();
    expect(probe.verdict(START_MS + 100)).toBe("alive");
    expect(probe.needsHelp(START_MS + 600)).toBe(false);
  });

  test("help once after the timeout, failed at the end of the interval", () => {
    const probe = probeOf();
    expect(probe.needsHelp(START_MS + 499)).toBe(false);
    expect(probe.nextDeadlineMs).toBe(START_MS + 500);
    expect(probe.needsHelp(START_MS + 500)).toBe(true);
    probe.askedForHelp(3);
    expect(probe.needsHelp(START_MS + 501)).toBe(false);
    expect(probe.nextDeadlineMs).toBe(START_MS + 1_000);
    expect(probe.verdict(START_MS + 999)).toBeNull();
    expect(probe.verdict(START_MS + 1_000)).toBe("failed");
  });

  test("TCP alone: the target lives, UDP is broken", () => {
    const probe = probeOf();
    probe.onStreamAnswer();
    expect(probe.verdict(START_MS + 500)).toBeNull();
    expect(probe.verdict(START_MS + 1_000)).toBe("udp-broken");
  });

  test("a node that is not well waits longer for the end, not for help", () => {
    const probe = probeOf(3);
    expect(probe.nextDeadlineMs).toBe(START_MS + 500);
    expect(probe.endsMs).toBe(START_MS + 4_000);
  });
});

test.each([
  [0, 0, 1],
  [3, 3, 0],
  [3, 1, 2],
  [3, 0, 3],
  [1, 4, 0],
])("asked %p for nacks, got %p: costs %p of health", (asked, got, cost) => {
  const probe = probeOf();
  probe.askedForHelp(asked);
  for (let nack = 0; nack < got; nack++) probe.onNack();
  expect(probe.healthCost).toBe(cost);
});

describe("pings for others", () => {
  test("a nack is due at 80 % of the timeout, once; a late ack still counts until its end", () => {
    const pings = new RelayedPings();
    pings.add(1, OTHER_ADDRESS, 41, true, START_MS, 500);
    expect(pings.nextDeadlineMs).toBe(START_MS + 400);
    expect(pings.due(START_MS + 399)).toEqual([]);
    expect(pings.due(START_MS + 400).map(({ askerSeq }) => askerSeq)).toEqual([41]);
    expect(pings.due(START_MS + 450)).toEqual([]);
    expect(pings.onAck(1)?.askerSeq).toBe(41);
    expect(pings.onAck(1)).toBeNull();
  });

  test("nobody is told who does not want to be, and old ones are forgotten", () => {
    const pings = new RelayedPings();
    pings.add(1, OTHER_ADDRESS, 41, false, START_MS, 500);
    expect(pings.due(START_MS + 500)).toEqual([]);
    expect(pings.onAck(1)).toBeNull();
    expect(pings.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("there are never more than 1024", () => {
    const pings = new RelayedPings();
    const added = Array.from({ length: 1_100 }, (_, seq) =>
      pings.add(seq, OTHER_ADDRESS, seq, true, START_MS, 500),
    );
    expect(added.filter(Boolean).length).toBe(1_024);
  });

  test("an asked member pings the target, and hands the ack back under the asker's number", () => {
    const one = new OneMachine();
    const source = { address: Uint8Array.of(10, 0, 0, 3), port: 7, node: "c" };
    const asked = { type: "indirect-ping", seq: 99, node: "b", wantsNack: true, source } as const;
    const pings = sentMessages(one.hear({ ...asked, target: OTHER_ADDRESS.ip, port: OTHER_ADDRESS.port }));
    const ping = pings.find((message) => message.type === "ping")!;
    expect(ping.node).toBe("b");
    const [answer] = one.hear({ type: "ack", seq: ping.seq, payload: null });
    expect(answer).toMatchObject({ kind: "packet", to: { ip: source.address, port: 7 } });
    expect(sentMessages([answer!])[0]).toEqual({ type: "ack", seq: 99, payload: null });
  });
});

test("only a direct ack says how far a member is", () => {
  const one = new OneMachine();
  one.hear(alive("b", 1));
  const ping = nextPing(one);
  one.nowMs += 5;
  one.hear({ type: "ack", seq: ping, payload: null });
  expect(one.machine.member("b")?.rttMs).toBeCloseTo(5);
  const second = nextPing(one);
  one.run(600); // help has been asked for
  const ack = { type: "ack", seq: second, payload: null } as const;
  one.machine.onPacket([encodeMessage(ack)], { ip: Uint8Array.of(10, 0, 0, 9), port: 7 }, one.nowMs);
  expect(one.machine.member("b")?.rttMs).toBeCloseTo(5); // passed on by a helper
  const third = nextPing(one);
  one.run(1_700); // the probe has ended
  one.hear({ ...ack, seq: third });
  expect(one.machine.member("b")?.rttMs).toBeGreaterThan(300);
});

/** Runs to the instant of the next ping. */
function nextPing(one: OneMachine): number {
  for (let wakes = 0; wakes < 1_000; wakes++) {
    const sent = one.run(Math.max(0, one.machine.nextDeadlineMs() - one.nowMs));
    const ping = sentMessages(sent).find((message) => message.type === "ping");
    if (ping !== undefined) return ping.seq;
  }
  throw new Error("it never pings");
}
