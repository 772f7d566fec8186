/**
 * The ClientHello decoder on arbitrary and mutated bytes. FUZZ_RUNS sets how many (default 100000), FUZZ_SEED repeats a
 * run. Checked every time: no exception, nothing read or written outside the window, "malformed" is final, and
 * "incomplete" asks for more bytes than there are and for no more than the limit.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { ClientHello, decodeClientHello, MAX_CLIENT_HELLO_BYTES } from "../../src/wire/index.ts";
import { seededRandom } from "../support/random/seeded-random.ts";
import {
  BORINGSSL,
  CURL,
  helloMessage,
  inRecords,
  OPENSSL,
  OPENSSL_RECORDS,
  serverName,
} from "../support/tls/client-hellos.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const MARGIN_BYTES = 4;
const WINDOW_BYTES = 2048;

const random = seededRandom(SEED);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

const CAPTURED = [OPENSSL, OPENSSL_RECORDS, CURL, BORINGSSL];

function below(limit: number): number {
  return Math.floor(random() * limit);
}

/** In a few kinds of records, with a name in most of them. */
function someHello(): Uint8Array {
  if (random() < 0.2) return CAPTURED[below(CAPTURED.length)]!;
  const extension = [below(60), Uint8Array.from({ length: below(20) }, () => below(256))] as const;
  const names = random() < 0.9 ? [serverName("a.b.example.org".slice(below(15)))] : [];
  const message = helloMessage({ sessionBytes: below(33), extensions: [extension, ...names] });
  return inRecords(
    message,
    Array.from({ length: below(4) }, () => 1 + below(60)),
  );
}

/** Lengths are changed more often than the rest, as they decide where is read. */
function mutate(bytes: Uint8Array, length: number): void {
  for (let count = below(3); count > 0; count--) {
    const at = MARGIN_BYTES + below(random() < 0.5 ? Math.min(length, 12) : length);
    bytes[at] = random() < 0.5 ? bytes[at]! ^ (1 << below(8)) : below(256);
  }
}

function describe({ status, neededBytes, serverName }: ClientHello): string {
  return `${status} ${neededBytes} ${serverName}`;
}

test("decodeClientHello on arbitrary and mutated bytes", () => {
  const stream = new Uint8Array(WINDOW_BYTES + 2 * MARGIN_BYTES);
  const bytes = new Uint8Array(stream.length);
  const hello = new ClientHello();
  const seen = { complete: 0, incomplete: 0, malformed: 0 };
  for (let run = 0; run < RUNS; run++) {
    const sent = someHello();
    stream.fill(below(256));
    stream.set(sent, MARGIN_BYTES);
    mutate(stream, sent.length);
    const length = random() < 0.3 ? below(sent.length + 1) : sent.length + below(20);
    const decode = (length: number) => {
      bytes.set(stream);
      return describe(decodeClientHello(bytes, MARGIN_BYTES, length, hello));
    };
    const result = decode(length);
    const { status, neededBytes } = hello;
    seen[status]++;
    const end = MARGIN_BYTES + length;
    const isOutsideSame =
      bytes.subarray(0, MARGIN_BYTES).every((byte, at) => byte === stream[at]) &&
      bytes.subarray(end).every((byte, at) => byte === stream[end + at]);
    if (!isOutsideSame) throw new Error(`run ${run}: bytes outside were changed`);
    const isHonest = neededBytes > length && neededBytes <= MAX_CLIENT_HELLO_BYTES;
    if (status === "incomplete" && !isHonest)
      throw new Error(`run ${run}: needs ${neededBytes} with ${length}`);
    for (let at = end; at < stream.length; at++) stream[at] = below(256);
    const again = decode(length);
    if (again !== result) throw new Error(`run ${run}: ${result}, then ${again}`);
    if (status !== "incomplete") {
      const longer = decode(WINDOW_BYTES);
      if (longer !== result) throw new Error(`run ${run}: ${result}, with more bytes ${longer}`);
    } else if (neededBytes - length > 1) {
      decode(neededBytes - 1);
      if (hello.status === "complete") throw new Error(`run ${run}: complete before ${neededBytes}`);
    }
  }
  expect(Math.min(seen.complete, seen.incomplete, seen.malformed)).toBeGreaterThan(RUNS / 20);
});
