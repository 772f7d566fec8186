/** When a peer's tasks are passed over: what this worker has met, and what the worker with the heartbeat says. */
import { expect, test } from "bun:test";
import {
  clearPeer,
  createCounters,
  P_FAILURES,
  P_RTT_MS,
  PEER_FIELDS,
  type SharedCounters,
} from "../../../../src/proxy/table/counters.ts";
import { peersOf, RelayPeer } from "../../../../src/proxy/table/peer.ts";
import { Target } from "../../../../src/proxy/table/target.ts";

const PEER = { name: "exit", address: "127.0.0.2", port: 4789, udpPort: 4789, slot: 5, isSealed: false };
const NOW_MS = 10_000;

function setUp(workers = 1) {
  const counters = createCounters(workers);
  const peers = Array.from({ length: workers }, (_, worker) => new RelayPeer(PEER, counters, worker));
  return { counters, peers, peer: peers[0]! };
}

/** Of a task on the peer's node. */
function farTarget(counters: SharedCounters, peer: RelayPeer): Target {
  const task = { name: "t", node: "exit", distance: "far", identity: "t", address: "name.internal" } as const;
  return new Target({ ...task, port: 80, weight: 1, isDraining: false, slot: 0 }, 80, counters, 0, peer);
}

test("a peer that fails is avoided for a pause that doubles up to five seconds", () => {
  const { peer } = setUp();
  expect(peer.avoidUntilMs).toBe(0);
  let nowMs = NOW_MS;
  const pauses = Array.from({ length: 8 }, () => {
    peer.onFailed(nowMs);
    peer.onFailed(nowMs + 1); // beside it: no further one
    const pauseMs = peer.avoidUntilMs - nowMs;
    nowMs = peer.avoidUntilMs;
    return pauseMs;
  });
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

test("an answer ends the pause, and the next begins small", () => {
  const { peer } = setUp();
  for (let i = 0; i < 5; i++) peer.onFailed(NOW_MS);
  peer.onAnswered();
  expect(peer.avoidUntilMs).toBe(0);
  peer.onFailed(NOW_MS);
  expect(peer.avoidUntilMs).toBe(NOW_MS + 250);
});

test("pauses do not overflow, however often it fails", () => {
  const { peer } = setUp();
  let nowMs = NOW_MS;
  for (let i = 0; i < 5000; i++) {
    nowMs = Math.max(nowMs, peer.avoidUntilMs);
    peer.onFailed(nowMs);
  }
  expect(peer.avoidUntilMs).toBe(nowMs + 5000);
});

test("an unreachable peer is avoided for as long as it is, by all workers; not never: it may be the last", () => {
  const { peers } = setUp(3);
  peers[0]!.onSilent();
  for (const peer of peers) {
    expect(peer.isReachable).toBe(false);
    expect(peer.avoidUntilMs).toBeGreaterThan(1e15);
    expect(peer.avoidUntilMs).toBeLessThan(Number.POSITIVE_INFINITY);
  }
  peers[0]!.onHeartbeat(1.5);
  for (const peer of peers) expect(peer.avoidUntilMs).toBe(0);
});

test("a worker's own failures are its own; all are counted", () => {
  const { counters, peers } = setUp(2);
  peers[1]!.onFailed(NOW_MS);
  expect(peers.map((peer) => peer.avoidUntilMs)).toEqual([0, NOW_MS + 250]);
  const at = PEER.slot * PEER_FIELDS;
  expect(counters.peers.map((row) => row[at + P_FAILURES])).toEqual([0, 1]);
  peers[0]!.onHeartbeat(2.5);
  expect(counters.peers.map((row) => row[at + P_RTT_MS])).toEqual([2.5, 0]);
});

test("a heartbeat does not end the pause of a worker whose connections fail", () => {
  const { peer } = setUp();
  peer.onFailed(NOW_MS);
  peer.onHeartbeat(1);
  expect(peer.avoidUntilMs).toBe(NOW_MS + 250);
});

test("clearPeer forgets all of it", () => {
  const { counters, peer } = setUp();
  peer.onSilent();
  peer.onFailed(NOW_MS);
  clearPeer(counters, PEER.slot);
  expect(peer.isReachable).toBe(true);
  expect(counters.peers[0]!.every((value) => value === 0)).toBe(true);
});

test("a target of a peer fails with it, and by itself", () => {
  const { counters, peer } = setUp();
  const target = farTarget(counters, peer);
  peer.onFailed(NOW_MS);
  expect(target.failingUntilMs).toBe(NOW_MS + 250);
  target.onFailed(111, NOW_MS);
  expect(target.failingUntilMs).toBe(NOW_MS + 1000);
  peer.onSilent();
  expect(target.failingUntilMs).toBe(Number.MAX_VALUE);
  peer.onHeartbeat(1);
  target.onAnswered();
  expect(target.failingUntilMs).toBe(NOW_MS + 250);
});

test("a target's node is heard while its heartbeat is, and not once the task has left the table", () => {
  const { counters, peer } = setUp();
  const target = farTarget(counters, peer);
  expect(target.isPeerHeard).toBe(false); // not yet
  peer.onHeartbeat(1);
  expect(target.isPeerHeard).toBe(true);
  peer.onSilent();
  expect(target.isPeerHeard).toBe(false);
  peer.onHeartbeat(1);
  target.retire(NOW_MS);
  expect(target.isPeerHeard).toBe(false);
});

test("peersOf keeps those that are reached as before", () => {
  const { counters } = setUp();
  const first = peersOf([PEER, { ...PEER, name: "other", slot: 6 }], new Map(), counters, 0);
  const second = peersOf([{ ...PEER }, { ...PEER, name: "other", slot: 6, port: 1 }], first, counters, 0);
  expect(second.get("exit")).toBe(first.get("exit")!);
  expect(second.get("other")).not.toBe(first.get("other")!);
  const third = peersOf([{ ...PEER, address: "::1" }], second, counters, 0);
  expect([...third.keys()]).toEqual(["exit"]);
  expect(third.get("exit")).not.toBe(second.get("exit")!);
  const fourth = peersOf([{ ...PEER, address: "::1", isSealed: true }], third, counters, 0);
  expect(fourth.get("exit")).not.toBe(third.get("exit")!);
  const moved = { ...PEER, address: "::1", isSealed: true, source: "::2" };
  expect(peersOf([moved], fourth, counters, 0).get("exit")).not.toBe(fourth.get("exit")!);
});

test("a peer is reached from an address of its own family only", () => {
  const { counters } = setUp();
  const sourceOf = (source?: string) =>
    new RelayPeer({ ...PEER, ...(source !== undefined && { source }) }, counters, 0).sourceSockaddr;
  expect(sourceOf()).toBeNull();
  expect(sourceOf("::1")).toBeNull();
  // family, port 0, address
  expect([...sourceOf("127.0.0.9")!.subarray(0, 8)]).toEqual([2, 0, 0, 0, 127, 0, 0, 9]);
});
