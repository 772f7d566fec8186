import { expect, test } from "bun:test";
import { decodeControl, PROBE } from "../../../../src/overlay/seal/control-message.ts";
import { PairKeyCache } from "../../../../src/overlay/seal/pair-key-cache.ts";
import type { SealSender } from "../../../../src/overlay/seal/seal-sender.ts";
import { SealedPeer } from "../../../../src/overlay/seal/sealed-peer.ts";
import { Counters, createCounters } from "../../../../src/overlay/userspace/counters.ts";
import { SealedPath } from "../../../../src/overlay/userspace/sealed/sealed-path.ts";

const UDP_OVERHEAD_BYTES = 28;
/** Of a probe's packet, what is not its message: IP, UDP, seal's head and tag. */
const PROBE_OVERHEAD_BYTES = UDP_OVERHEAD_BYTES + 20 + 16;
const TICK_MS = 20;

/** A sealed path that carries packets of up to 1,500 bytes at once; `sentMs` is when each probe left. */
function openPath() {
  const peer = new SealedPeer({
    ownAddress: "10.200.0.1",
    peerAddress: "10.200.0.2",
    secrets: ["11".repeat(32)],
    cache: new PairKeyCache(),
    udpOverheadBytes: UDP_OVERHEAD_BYTES,
    localMtu: 1500,
    random: () => 0.5,
    nowMs: 0,
  });
  const sentMs: number[] = [];
  const sendControl = (_: unknown, bytes: Uint8Array, nowMs: number) => {
    const message = decodeControl(bytes)!;
    if (message.type !== PROBE) return;
    sentMs.push(nowMs);
    answers.push([message.id, bytes.length + PROBE_OVERHEAD_BYTES]);
  };
  const answers: [number, number][] = [];
  const sender = { sendControl } as unknown as SealSender;
  const path = new SealedPath(peer, 1, sender, new Counters(createCounters()), UDP_OVERHEAD_BYTES);
  const run = (fromMs: number, toMs: number) => {
    for (let nowMs = fromMs; nowMs < toMs; nowMs += TICK_MS) {
      path.tick(nowMs);
      for (const [id, size] of answers.splice(0)) peer.path.onAck(id, size, nowMs);
    }
  };
  return { peer, sentMs, run };
}

test("a path that comes into use is probed within a second or so, not when its idle time is over", () => {
  const { peer, sentMs, run } = openPath();
  run(0, 5000);
  expect(peer.path.mtu).toBe(1500);
  sentMs.length = 0;
  run(5000, 10_000);
  expect(sentMs).toEqual([]);
  peer.usedMs = 10_000;
  run(10_000, 15_000);
  expect(sentMs.length).toBeGreaterThanOrEqual(4);
});
