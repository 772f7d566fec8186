/**
 * Readers of hellos and records on changed, cut and made-up ones. FUZZ_RUNS sets how many (default 100000), SEED repeats
 * a run. Checked every time: no exception, nothing outside the bytes is read, and nothing passes for proved, or opens,
 * but what was written, in the order it was written.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  decodeProxyHeader,
  encodeRelayTask,
  GREETING_BYTES,
  HELLO_BYTES,
  HelloProver,
  ProxyHeader,
  RECORD_END,
  RECORD_MAX_BYTES,
  RECORD_OVERHEAD_BYTES,
  RECORD_STREAM,
  RELAY_QUESTION_MAX_BYTES,
  RecordOpener,
  RecordSealer,
  readRelayQuestion,
  recordLength,
  writeRelayQuestion,
} from "../../src/wire/index.ts";
import { GCM } from "../support/overlay/gcm.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const MARGIN_BYTES = 5;
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests

const seeded = Seeded.fromEnvironment();
const mutator = new ByteMutator(seeded);
const header = new ProxyHeader();

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => seeded.below(256));
}

/** With other bytes around it each time. */
function around(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(...bytesOf(MARGIN_BYTES), ...bytes, ...bytesOf(MARGIN_BYTES));
}

test("HelloProver on changed hellos", () => {
  const prover = new HelloProver(new Uint8Array(32).fill(7), "exit");
  const seen = { proved: 0, refused: 0 };
  for (let run = 0; run < RUNS / 4; run++) {
    const greeting = bytesOf(GREETING_BYTES);
    const hello = new Uint8Array(HELLO_BYTES);
    prover.write(greeting, bytesOf(16), bytesOf(32), hello, 0);
    const changed = mutator.mutate(hello, bytesOf(HELLO_BYTES)).slice(0, HELLO_BYTES);
    const bytes = Uint8Array.of(...changed, ...bytesOf(HELLO_BYTES - changed.length));
    const isProved = prover.isProved(greeting, around(bytes), MARGIN_BYTES);
    if (isProved !== (Buffer.compare(bytes, hello) === 0)) throw new Error(`run ${run}: ${bytes.toHex()}`);
    seen[isProved ? "proved" : "refused"]++;
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 50);
});

/** A stream of records and what is in each. */
function writeStream(key: Uint8Array): { stream: Uint8Array; plains: string[] } {
  const sealer = new RecordSealer(key, GCM);
  const [parts, plains]: [Uint8Array[], string[]] = [[], []];
  for (let count = 1 + seeded.below(4); count > 0; count--) {
    const plain = count === 1 ? new Uint8Array(0) : bytesOf(1 + seeded.below(30));
    const record = new Uint8Array(plain.length + RECORD_OVERHEAD_BYTES);
    sealer.seal(count === 1 ? RECORD_END : RECORD_STREAM, plain, 0, plain.length, record, 0);
    parts.push(record);
    plains.push(plain.toHex());
  }
  return { stream: Buffer.concat(parts), plains };
}

/** What of a stream opens, up to what does not. */
function openAll(key: Uint8Array, stream: Uint8Array): string[] {
  const bytes = around(stream);
  const [opener, opened]: [RecordOpener, string[]] = [new RecordOpener(key, GCM), []];
  let at = MARGIN_BYTES;
  const end = MARGIN_BYTES + stream.length;
  for (;;) {
    const length = recordLength(bytes, at, end - at);
    if (length > RECORD_MAX_BYTES) throw new Error(`a record of ${length} bytes`);
    if (length <= 0 || length > end - at) return opened;
    const out = new Uint8Array(length - RECORD_OVERHEAD_BYTES);
    if (!opener.open(bytes, at, length, out, 0)) return opened;
    opened.push(out.toHex());
    at += length;
  }
}

test("RecordOpener on changed streams of records", () => {
  const seen = { whole: 0, part: 0, nothing: 0 };
  const key = bytesOf(32);
  for (let run = 0; run < RUNS / 4; run++) {
    const [written, other] = [writeStream(key), writeStream(bytesOf(32))];
    const stream =
      seeded.below(50) === 0 ? bytesOf(seeded.below(200)) : mutator.mutate(written.stream, other.stream);
    const opened = openAll(key, stream);
    if (!Bun.deepEquals(opened, written.plains.slice(0, opened.length)))
      throw new Error(`run ${run}: ${stream.toHex()}`);
    seen[opened.length === 0 ? "nothing" : opened.length < written.plains.length ? "part" : "whole"]++;
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 100);
});

/** One that a node would write. */
function writeQuestion(): Uint8Array {
  const out = new Uint8Array(RELAY_QUESTION_MAX_BYTES);
  const names = ["a", "web", "10.0.0.1:80", "x".repeat(255)];
  const endpoint = { family: 4, bytes: bytesOf(4), offset: 0, port: seeded.below(65_536) } as const;
  const isHeartbeat = seeded.below(4) === 0;
  const task = encodeRelayTask(seeded.pick(names), seeded.pick(names), seeded.below(65_536));
  const clients = { source: endpoint, destination: endpoint };
  return out.slice(0, writeRelayQuestion(isHeartbeat ? null : clients, isHeartbeat ? null : task, out, 0));
}

function question(bytes: Uint8Array): string {
  const whole = around(bytes);
  decodeProxyHeader(whole, MARGIN_BYTES, bytes.length, header);
  if (header.status !== "complete") return header.status;
  return JSON.stringify(readRelayQuestion(whole, MARGIN_BYTES, header)) ?? "none";
}

test("readRelayQuestion on changed questions", () => {
  const seen = { read: 0, refused: 0 };
  for (let run = 0; run < RUNS; run++) {
    const bytes = mutator.mutate(writeQuestion(), writeQuestion());
    const read = question(bytes);
    if (question(bytes) !== read) throw new Error(`run ${run}: reads what is around ${bytes.toHex()}`);
    seen[read.startsWith("{") ? "read" : "refused"]++;
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 50);
});
