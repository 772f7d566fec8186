/**
 * The reader of relay headers on changed, cut and made-up ones. FUZZ_RUNS sets how many (default 100000), SEED repeats a
 * run. Checked every time: no exception, nothing outside the bytes is read, and nothing passes for signed but what was.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  decodeProxyHeader,
  encodeRelayTask,
  ProxyHeader,
  RELAY_HEADER_MAX_BYTES,
  RelaySigner,
  readRelayValues,
} from "../../src/wire/index.ts";
import { ByteMutator } from "../support/random/byte-mutator.ts";
import { Seeded } from "../support/random/seed.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 100_000);
const MARGIN_BYTES = 5;
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests

const seeded = Seeded.fromEnvironment();
const mutator = new ByteMutator(seeded);
const signer = new RelaySigner(new Uint8Array(32).fill(7), "exit");
const header = new ProxyHeader();

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => seeded.below(256));
}

function endpointOf(family: 4 | 6) {
  return { family, bytes: bytesOf(family === 4 ? 4 : 16), offset: 0, port: seeded.below(65_536) };
}

/** One that a node would write. */
function writeOne(): Uint8Array {
  const out = new Uint8Array(RELAY_HEADER_MAX_BYTES);
  const names = ["a", "web", "10.0.0.1:80", "x".repeat(255)];
  const isHeartbeat = seeded.below(4) === 0;
  const family = seeded.pick([4, 6] as const);
  const clients = { source: endpointOf(family), destination: endpointOf(family) };
  const task = encodeRelayTask(seeded.pick(names), seeded.pick(names), seeded.below(65_536));
  const length = isHeartbeat
    ? signer.write(null, null, bytesOf(16), out, 0)
    : signer.write(clients, task, bytesOf(16), out, 0);
  return out.slice(0, length);
}

/** What is read of it, with other bytes around it each time. */
function outcome(bytes: Uint8Array): string {
  const around = bytesOf(bytes.length + 2 * MARGIN_BYTES);
  around.set(bytes, MARGIN_BYTES);
  decodeProxyHeader(around, MARGIN_BYTES, bytes.length, header);
  if (header.status !== "complete") return header.status;
  const values = readRelayValues(around, MARGIN_BYTES, header);
  if (values === null) return "no relay header";
  const isSigned = signer.isSigned(around, MARGIN_BYTES, header.headerLength);
  return `${isSigned ? "signed" : "unsigned"} ${header.headerLength} ${JSON.stringify(values)}`;
}

test("readRelayValues on changed headers", () => {
  const seen = { signed: 0, unsigned: 0, refused: 0 };
  for (let run = 0; run < RUNS; run++) {
    const [written, other] = [writeOne(), writeOne()];
    const bytes = seeded.below(50) === 0 ? bytesOf(seeded.below(200)) : mutator.mutate(written, other);
    const read = outcome(bytes);
    if (outcome(bytes) !== read) throw new Error(`run ${run}: reads what is around ${bytes.toHex()}`);
    const isWhole = [written, other].some(
      (whole) => Buffer.compare(whole, bytes.subarray(0, whole.length)) === 0,
    );
    if (read.startsWith("signed") !== isWhole) throw new Error(`run ${run}: ${read}: ${bytes.toHex()}`);
    seen[read.startsWith("signed") ? "signed" : read.startsWith("unsigned") ? "unsigned" : "refused"]++;
  }
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 50);
});
