/**
 * Every decoder of the gossip protocol on generated, damaged and spliced bytes. FUZZ_RUNS sets how many for each
 * (default 20000), FUZZ_SEED repeats a run. Checked every time: no exception, bounded output, and what is read is a
 * fixed point: written and read again it is the same value and the same bytes.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { encodeCompound } from "../../src/wire/gossip/compound.ts";
import * as gossip from "../../src/wire/gossip/index.ts";
import { lzwDecompress } from "../../src/wire/gossip/lzw.ts";
import { GossipSamples } from "../support/gossip/gossip-samples.ts";
import { compressIfShorter, lzwCompress } from "../support/gossip/lzw-encoder.ts";
import { lzwOracle } from "../support/gossip/lzw-oracle.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const KEYRING = gossip.Keyring.of([new Uint8Array(16).fill(7), new Uint8Array(32).fill(8)])!;
/** As decided in packet.ts. */
const MAX_PACKET_OUTPUT = 2 ** 20 + 65536;
const MAX_PACKET_MESSAGES = 1024;

setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

/** `read` must not throw on anything; `write` must give back what it read. At least some inputs must be readable. */
function fuzzDecoder<T>(
  name: string,
  sample: (samples: GossipSamples) => Uint8Array,
  read: (bytes: Uint8Array) => T | null,
  write: (value: T) => Uint8Array | null,
): void {
  test(name, () => {
    const { seeded, samples, mutator } = start(name);
    let readable = 0;
    for (let run = 0; run < RUNS; run++) {
      const bytes =
        seeded.below(20) === 0 ? samples.noise(64) : mutator.mutate(sample(samples), sample(samples));
      const value = guard(run, bytes, () => read(bytes));
      if (value === null) continue;
      readable++;
      guard(run, bytes, () => checkFixedPoint(value, read, write));
    }
    expect(readable).toBeGreaterThan(RUNS / 50);
    expect(readable).toBeLessThan(RUNS);
  });
}

function checkFixedPoint<T>(
  value: T,
  read: (b: Uint8Array) => T | null,
  write: (v: T) => Uint8Array | null,
): void {
  const written = write(value);
  if (written === null) return;
  const again = read(written);
  if (again === null || !Bun.deepEquals(again, value)) throw new Error(`not read back: ${written.toHex()}`);
  if (Buffer.compare(write(again)!, written) !== 0) throw new Error(`not written alike: ${written.toHex()}`);
}

/** The numbers of a test do not depend on the tests before it. */
function start(name: string) {
  const seeded = new Seeded(SEED).fork(Bun.hash.crc32(name));
  return { seeded, samples: new GossipSamples(seeded), mutator: new ByteMutator(seeded) };
}

/** Says which input it was. */
function guard<T>(run: number, bytes: Uint8Array, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw new Error(`run ${run}, input ${bytes.toHex()}`, { cause });
  }
}

fuzzDecoder("decodeMessage", (s) => s.message(), gossip.decodeMessage, gossip.encodeMessage);

fuzzDecoder(
  "decodePushPull",
  (s) => s.pushPull(),
  (bytes) => {
    const exchange = gossip.decodePushPull(bytes);
    if (exchange !== null && exchange.members.length > bytes.length)
      throw new Error("members out of nothing");
    return exchange && { ...exchange, unusableMembers: 0 };
  },
  gossip.encodePushPull,
);

fuzzDecoder("decodeStreamUser", (s) => s.streamUser(), gossip.decodeStreamUser, gossip.encodeStreamUser);

fuzzDecoder(
  "decodeTags",
  (s) => s.tags(),
  (bytes) => {
    const tags = gossip.decodeTags(bytes);
    return Object.keys(tags).length > 0 ? tags : null;
  },
  gossip.encodeTags,
);

fuzzDecoder(
  "decodeSerfMessage",
  (s) => s.serfMessage(),
  gossip.decodeSerfMessage,
  (message) => (message.type === "query" ? null : gossip.encodeSerfMessage(message)),
);

fuzzDecoder("decodeSerfState", (s) => s.serfState(), gossip.decodeSerfState, gossip.encodeSerfState);

test("openPacket", () => {
  const { seeded, samples, mutator } = start("openPacket");
  const seen = { whole: 0, damaged: 0 };
  for (let run = 0; run < RUNS; run++) {
    const keyring = seeded.below(4) === 0 ? KEYRING : null;
    const inner = randomPacket(seeded, samples);
    const mutated = mutator.mutate(inner, samples.message());
    const bytes = keyring === null ? mutated : seal(keyring, mutated, seeded, mutator);
    const packet = guard(run, bytes, () => gossip.openPacket(bytes, { keyring }));
    seen[packet.problem === null ? "whole" : "damaged"]++;
    const outputBytes = packet.messages.reduce((sum, message) => sum + message.length, 0);
    if (packet.messages.length > MAX_PACKET_MESSAGES || outputBytes > MAX_PACKET_OUTPUT) {
      throw new Error(
        `run ${run}: ${packet.messages.length} messages, ${outputBytes} bytes: ${bytes.toHex()}`,
      );
    }
    for (const message of packet.messages) guard(run, message, () => gossip.decodeMessage(message));
  }
  expect(Math.min(seen.whole, seen.damaged)).toBeGreaterThan(RUNS / 20);
});

/** Layers in any order, more of them than allowed now and then. */
function randomPacket(seeded: Seeded, samples: GossipSamples): Uint8Array {
  let packet = samples.message();
  for (let layers = seeded.below(7); layers > 0; layers--) {
    if (seeded.below(3) === 0) packet = compressIfShorter(packet);
    else packet = encodeCompound(seeded.below(2) === 0 ? [packet] : [packet, samples.message(), packet]);
  }
  if (seeded.below(2) === 0) return packet;
  return gossip.framePacket([packet], { keyring: null, nonce: zeros, withCrc: true });
}

/** Most often left intact: behind a damaged seal nothing else would be read. */
function seal(keyring: gossip.Keyring, packet: Uint8Array, seeded: Seeded, mutator: ByteMutator): Uint8Array {
  if (packet.length === 0) return packet;
  const sealed = gossip.framePacket([packet], { keyring, nonce: zeros, withCrc: false });
  return seeded.below(4) === 0 ? mutator.mutate(sealed, packet) : sealed;
}

function zeros(): Uint8Array {
  return new Uint8Array(gossip.NONCE_BYTES);
}

test("StreamReader: in pieces it reads what it reads at once", () => {
  const { seeded, samples, mutator } = start("StreamReader");
  const seen = { complete: 0, incomplete: 0, failed: 0 };
  for (let run = 0; run < RUNS; run++) {
    const keyring = seeded.below(4) === 0 ? KEYRING : null;
    const message = mutator.mutate(samples.streamMessage(), samples.message());
    const inner = seeded.below(2) === 0 ? compressIfShorter(message) : message;
    const framed = gossip.frameStream(inner, { keyring, nonce: zeros });
    const bytes = seeded.below(2) === 0 ? framed : mutator.mutate(framed, message);
    const options = { keyring, maxFrameBytes: 5000, maxMessageBytes: 8000 };
    guard(run, bytes, () => {
      const whole = new gossip.StreamReader(options).push(bytes);
      const pieces = pushPieces(new gossip.StreamReader(options), bytes, seeded);
      seen[whole.status]++;
      if (whole.status !== pieces.status) throw new Error(`${whole.status}, in pieces ${pieces.status}`);
      if (whole.status !== "complete" || pieces.status !== "complete") return;
      if (Buffer.compare(whole.message, pieces.message) !== 0) throw new Error("another message in pieces");
      if (whole.message.length > 8000) throw new Error(`${whole.message.length} bytes`);
    });
  }
  expect(Math.min(seen.complete, seen.incomplete, seen.failed)).toBeGreaterThan(RUNS / 50);
});

function pushPieces(reader: gossip.StreamReader, bytes: Uint8Array, seeded: Seeded): gossip.StreamProgress {
  let progress: gossip.StreamProgress = { status: "incomplete" };
  const largest = seeded.pick([1, 5, 60]);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + seeded.below(largest);
    progress = reader.push(bytes.slice(at, end));
    at = end;
  }
  return progress;
}

test("lzwDecompress: as the slow decoder, and never above the cap", () => {
  const { seeded, samples, mutator } = start("lzwDecompress");
  const seen = { bytes: 0, damaged: 0, "too-large": 0 };
  for (let run = 0; run < RUNS; run++) {
    const values = 1 + seeded.below(seeded.pick([2, 256]));
    const input = samples.noise(300).map((byte) => byte % values);
    const bytes = mutator.mutate(lzwCompress(input), input);
    const maxBytes = seeded.pick([10, 100_000]);
    const output = guard(run, bytes, () => lzwDecompress(bytes, maxBytes));
    const expected = lzwOracle(bytes);
    seen[typeof output === "string" ? output : "bytes"]++;
    guard(run, bytes, () => {
      if (output === "too-large") return expect(maxBytes).toBe(10);
      if (output === "damaged") return expect(expected).toBeNull();
      expect(output.length).toBeLessThanOrEqual(maxBytes);
      expect([...output]).toEqual(expected!);
    });
  }
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(RUNS / 20);
});
