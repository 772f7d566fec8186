/**
 * Frames and packets of the userspace driver, mutated and arbitrary. FUZZ_RUNS sets how many (default 50000), FUZZ_SEED
 * repeats a run. Checked every time: no exception; every datagram is handed on or counted; what is handed on is an IPv4
 * packet from the peer to us, no longer than what came.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  frameOf,
  OWN_ADDRESS,
  PEER_ADDRESS,
  PlainFrames,
  tcpPacket,
  udpPacket,
} from "../support/overlay/plain-frames.ts";
import { seededRandom } from "../support/random/seeded-random.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 50_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const VIRTIO_BYTES = 10;
const DATAGRAM_BYTES_MAX = 200;

const random = seededRandom(SEED);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

function below(limit: number): number {
  return Math.floor(random() * limit);
}

/** A few bytes changed, now and then cut. */
function mutate(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let i = below(4); i > 0; i--) copy[below(Math.min(copy.length, 90))] = below(256);
  return below(4) === 0 ? copy.subarray(0, below(copy.length)) : copy;
}

function samplePacket(from: string, to: string): Buffer {
  const payload = new Uint8Array(below(60)).map(() => below(256));
  if (below(2) === 0) return udpPacket(from, to, payload);
  const options = new Uint8Array(4 * below(4));
  return tcpPacket({ from, to, sequence: below(3) * 20, flags: 0x10, options, payload });
}

test("frames from the underlay", () => {
  let frames = new PlainFrames();
  for (let run = 0; run < RUNS; run++) {
    if (run % 1000 === 0) frames = new PlainFrames();
    const datagrams = Array.from({ length: 1 + below(4) }, () =>
      below(8) === 0
        ? new Uint8Array(below(DATAGRAM_BYTES_MAX)).map(() => below(256))
        : mutate(frameOf(samplePacket(PEER_ADDRESS, OWN_ADDRESS))),
    );
    const droppedBefore = total(frames.counts.framesDropped);
    frames.receive(datagrams, DATAGRAM_BYTES_MAX + below(8));
    const dropped = total(frames.counts.framesDropped) - droppedBefore;
    expect(frames.packets.length + dropped).toBeLessThanOrEqual(datagrams.length);
    const bytesIn = datagrams.reduce((sum, { length }) => sum + length, 0);
    for (const packet of frames.packets.splice(0)) {
      expect(packet.length).toBeLessThanOrEqual(bytesIn);
      expect(packet[VIRTIO_BYTES]! >>> 4).toBe(4);
      expect([...packet.subarray(VIRTIO_BYTES + 12, VIRTIO_BYTES + 20)]).toEqual([
        10, 200, 0, 2, 10, 200, 0, 1,
      ]);
    }
    frames.datagrams.length = 0;
  }
});

test("packets from the device, whatever their virtio headers promise", () => {
  let frames = new PlainFrames();
  for (let run = 0; run < RUNS; run++) {
    if (run % 1000 === 0) frames = new PlainFrames();
    const packet = mutate(samplePacket(OWN_ADDRESS, PEER_ADDRESS));
    frames.send(packet, {
      needsChecksum: below(2) === 0,
      gsoType: [0, 1, 5, below(256)][below(4)]!,
      gsoSize: below(40),
      checksumStart: below(80),
      checksumOffset: below(20),
    });
    for (const datagram of frames.datagrams.splice(0))
      expect(datagram.length).toBeLessThanOrEqual(packet.length + 22);
  }
});

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
