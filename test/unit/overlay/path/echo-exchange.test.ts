/** Two nodes that probe each other in virtual time, and those who would like to be one of them. */
import { describe, expect, test } from "bun:test";
import { ECHO_ANSWER, ECHO_BYTES, ECHO_PROBE } from "../../../../src/overlay/path/echo.ts";
import type { EchoExchange } from "../../../../src/overlay/path/echo-exchange.ts";
import { addressOf, EchoNetwork, endOf } from "../../../support/overlay/echo-network.ts";

const SECRETS = ["11".repeat(32)];
const NEXT_SECRETS = ["33".repeat(32), ...SECRETS];

interface Pair {
  readonly network: EchoNetwork;
  readonly n1: EchoExchange;
  readonly n2: EchoExchange;
}

/** Two nodes that use each other, after their first search. */
async function pairOf(secrets: readonly string[] | null = SECRETS): Promise<Pair> {
  const network = new EchoNetwork();
  const [n1, n2] = [network.add("n1"), network.add("n2")];
  n1.setPeers([endOf("n2", secrets)]);
  n2.setPeers([endOf("n1", secrets)]);
  n1.setActive(new Set(["n2"]));
  n2.setActive(new Set(["n1"]));
  await network.clock.advance(1000);
  return { network, n1, n2 };
}

/** The last datagram of a type from n1 to n2. */
function lastTo2({ network }: Pair, type: number): Uint8Array {
  return network.carried.findLast(({ to, bytes }) => to === addressOf("n2") && bytes[0] === type)!.bytes;
}

describe("two nodes", () => {
  for (const secrets of [SECRETS, null]) {
    test(`${secrets === null ? "without" : "with"} a secret find how large their packets may be`, async () => {
      const { network, n1, n2 } = await pairOf(secrets);
      expect(n1.report("n2")).toMatchObject({
        state: "search-complete",
        isUp: true,
        mtu: 1450,
        underlayMtu: 1500,
        rttMs: 4,
        minRttMs: 4,
        loss: 0,
      });
      expect(n2.report("n1")!.mtu).toBe(1450);
      expect(network.changes.toSorted()).toEqual(["n1: n2 1450", "n2: n1 1450"]);
    });
  }

  test("tell when that falls and when it rises, each once", async () => {
    const { network, n1 } = await pairOf();
    network.changes.length = 0;
    network.mtu = 1350;
    await network.clock.advance(5000);
    expect(n1.report("n2")!.mtu).toBe(1350);
    expect(network.changes.filter((change) => change.startsWith("n1"))).toEqual([
      "n1: n2 1150",
      "n1: n2 1350",
    ]);
    network.mtu = 1450;
    await network.clock.advance(75_000);
    expect(network.changes.at(-1)).toMatch(/1450$/);
  });

  test("obey the device", async () => {
    const { network, n1 } = await pairOf();
    n1.setDeviceMtu(1300);
    expect(n1.report("n2")!.mtu).toBe(1300);
    expect(network.changes).toContain("n1: n2 1300");
  });

  test("that do not yet have the same secret lose probes, and nothing more", async () => {
    const { network, n1, n2 } = await pairOf();
    n1.setPeers([endOf("n2", NEXT_SECRETS)]);
    await network.clock.advance(3000); // n2 does not have it yet
    expect(n2.counts.droppedUnauthentic).toBeGreaterThan(0);
    n2.setPeers([endOf("n1", NEXT_SECRETS)]);
    const dropped = n2.counts.droppedUnauthentic;
    await network.clock.advance(10_000);
    expect(n2.counts.droppedUnauthentic).toBe(dropped);
    expect(n1.report("n2")).toMatchObject({ state: "search-complete", mtu: 1450 });
  });

  test("both old and new are taken while both are in the list", async () => {
    const { network, n1, n2 } = await pairOf();
    n2.setPeers([endOf("n1", NEXT_SECRETS.toReversed())]);
    n1.setPeers([endOf("n2", NEXT_SECRETS)]);
    await network.clock.advance(10_000);
    expect([n1.counts.droppedUnauthentic, n2.counts.droppedUnauthentic]).toEqual([0, 0]);
  });

  test("tell when the other goes and when it is back, also where the size stays the same", async () => {
    const { network, n1 } = await pairOf();
    network.mtu = 1150;
    await network.clock.advance(10_000);
    network.changes.length = 0;
    network.mtu = 0;
    await network.clock.advance(15_000);
    expect(n1.report("n2")!.isUp).toBe(false);
    expect(network.changes.filter((change) => change.startsWith("n1"))).toEqual(["n1: n2 1150"]);
    network.mtu = 1150;
    await network.clock.advance(15_000);
    expect(n1.report("n2")!.isUp).toBe(true);
    expect(network.changes.filter((change) => change.startsWith("n1"))).toEqual([
      "n1: n2 1150",
      "n1: n2 1150",
    ]);
  });

  test("notice within 3 s that packets of that size no longer pass, also where only one of both relays", async () => {
    const { network, n1, n2 } = await pairOf();
    n2.setActive(new Set());
    await network.clock.advance(60_000);
    network.mtu = 1230;
    await network.clock.advance(3000);
    expect([n1.report("n2")!.mtu, n2.report("n1")!.mtu]).toEqual([1230, 1230]);
  });

  test("probe rarely again once neither relays to the other", async () => {
    const { network, n1, n2 } = await pairOf();
    n2.setActive(new Set());
    n1.setActive(new Set());
    await network.clock.advance(20_000);
    const before = n1.counts.probesSent + n2.counts.probesSent;
    await network.clock.advance(60_000);
    expect(n1.counts.probesSent + n2.counts.probesSent - before).toBeLessThanOrEqual(6);
  });

  test("that are unused know each other within seconds when one has been away", async () => {
    const network = new EchoNetwork();
    const n1 = network.add("n1");
    n1.setPeers([endOf("n2", SECRETS)]);
    await network.clock.advance(300_000);
    expect(n1.report("n2")!.state).toBe("error");
    network.add("n2").setPeers([endOf("n1", SECRETS)]);
    await network.clock.advance(4000);
    expect(n1.report("n2")).toMatchObject({ isUp: true, mtu: 1450 });
  });

  test("a peer at another address is another path", async () => {
    const { n1 } = await pairOf();
    n1.setPeers([{ ...endOf("n2", SECRETS), underlayAddress: "192.0.2.99" }]);
    expect(n1.report("n2")).toMatchObject({ state: "base", mtu: 1150, rttMs: null });
    n1.setPeers([]);
    expect(n1.report("n2")).toBeNull();
  });

  test("are quiet when closed", async () => {
    const { network, n1, n2 } = await pairOf();
    n1.close();
    n2.close();
    await network.clock.advance(10); // what is still under way
    network.carried.length = 0;
    await network.clock.advance(100_000);
    expect(network.carried).toEqual([]);
    expect(network.clock.timerCount).toBe(0);
  });
});

describe("others", () => {
  test("who are no peer, or speak from another port, are not answered", async () => {
    const pair = await pairOf();
    const { network, n2 } = pair;
    const bytes = lastTo2(pair, ECHO_PROBE);
    const before = n2.counts.answersSent;
    network.inject({ from: addressOf("n3"), to: addressOf("n2"), bytes });
    network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes }, 40_000);
    expect(n2.counts.droppedStranger).toBe(2);
    expect(n2.counts.answersSent).toBe(before);
  });

  test("who change a bit, or send a probe back to its sender, are not believed", async () => {
    const pair = await pairOf();
    const { network, n1, n2 } = pair;
    const bytes = lastTo2(pair, ECHO_PROBE);
    const before = n2.counts.answersSent;
    for (let at = 4; at < ECHO_BYTES; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes: changed });
    }
    expect(n2.counts.droppedUnauthentic).toBe(ECHO_BYTES - 4);
    expect(n2.counts.answersSent).toBe(before);
    network.inject({ from: addressOf("n2"), to: addressOf("n1"), bytes });
    expect(n1.counts.droppedUnauthentic).toBe(1);
    network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes: bytes.subarray(0, 30) });
    expect(n2.counts.droppedMalformed).toBe(1);
  });

  test("who repeat an answer, even a true one, change nothing", async () => {
    const pair = await pairOf();
    const { network, n2 } = pair;
    const bytes = lastTo2(pair, ECHO_ANSWER);
    const before = n2.counts.answersReceived;
    network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes });
    expect([n2.counts.answersReceived, n2.counts.droppedStale]).toEqual([before, 1]);
    const ofOtherRun = bytes.slice();
    ofOtherRun[8]! ^= 1;
    network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes: ofOtherRun });
    expect(n2.counts.droppedStale).toBe(2);
  });

  test("who flood in a peer's name get no more than a hundred answers a second, none longer than a probe", async () => {
    const pair = await pairOf();
    const { network, n2 } = pair;
    const bytes = lastTo2(pair, ECHO_PROBE);
    const before = n2.counts.answersSent;
    network.carried.length = 0;
    for (let count = 0; count < 10_000; count++) {
      network.inject({ from: addressOf("n1"), to: addressOf("n2"), bytes });
    }
    expect(n2.counts.answersSent - before).toBeLessThanOrEqual(100);
    expect(n2.counts.droppedExcess).toBeGreaterThanOrEqual(9900);
    for (const { to, bytes: answer } of network.carried) {
      expect([to, answer.length]).toEqual([addressOf("n1"), ECHO_BYTES]);
    }
  });
});

test("200 unused peers are probed about ten times a second", async () => {
  const network = new EchoNetwork();
  const n1 = network.add("n1");
  const names = Array.from({ length: 200 }, (_, index) => `n${index + 2}`);
  n1.setPeers(names.map((name) => endOf(name, SECRETS)));
  for (const name of names) network.add(name).setPeers([endOf("n1", SECRETS)]);
  await network.clock.advance(10_000);
  expect(names.every((name) => n1.report(name)!.mtu === 1450)).toBe(true);
  const before = n1.counts.probesSent;
  await network.clock.advance(60_000);
  expect((n1.counts.probesSent - before) / 60).toBeLessThan(10);
  expect((n1.counts.probesSent - before) / 60).toBeGreaterThan(4);
});
