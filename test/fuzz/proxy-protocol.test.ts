/**
 * The PROXY header decoder on arbitrary and mutated bytes. FUZZ_RUNS sets how many (default 200000), FUZZ_SEED
 * repeats a run. Checked every time: no exception, nothing read outside the window, the result is consistent.
 * A second test grows headers byte by byte, to show that `incomplete` is honest: some next byte always fits.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  decodeProxyHeader,
  type Endpoint,
  encodeProxyV1,
  encodeProxyV2,
  encodeProxyV2Local,
  formatIp,
  PROXY_V1_MAX_BYTES,
  PROXY_V2_MAX_BYTES,
  ProxyHeader,
} from "../../src/wire/index.ts";
import { seededRandom } from "../support/random/seeded-random.ts";

const RUNS = Number(process.env.FUZZ_RUNS ?? 200_000);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 32);
const WINDOW_BYTES = 160;
const MARGIN_BYTES = 4;

const random = seededRandom(SEED);
setDefaultTimeout(120_000 + RUNS); // far above what a run takes, also beside other tests
console.log(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}`);

function below(limit: number): number {
  return Math.floor(random() * limit);
}

function randomEndpoint(): Endpoint {
  const bytes = Uint8Array.from({ length: 16 }, () => (random() < 0.5 ? 0 : below(256)));
  return { family: random() < 0.5 ? 4 : 6, bytes, offset: 0, port: below(65536) };
}

/** A valid header, sometimes with a longer v2 block; returns its length. */
function writeHeader(out: Uint8Array, at: number): number {
  const kind = below(4);
  if (kind === 0) return encodeProxyV2Local(out, at);
  if (kind === 1) return encodeProxyV1(randomEndpoint(), randomEndpoint(), out, at);
  const length = encodeProxyV2(randomEndpoint(), randomEndpoint(), kind === 2 ? "tcp" : "udp", out, at);
  const extra = random() < 0.5 ? 0 : below(40);
  out[at + 15]! += extra;
  if (extra >= 3) out.set([below(256), 0, extra - 3], at + length);
  return length + extra;
}

function mutate(bytes: Uint8Array, at: number, length: number): void {
  for (let count = below(4); count > 0; count--) {
    const position = at + below(length);
    if (random() < 0.5) bytes[position]! ^= 1 << below(8);
    else bytes[position] = random() < 0.5 ? below(256) : " .:\r\n0159fF"[below(11)]!.charCodeAt(0);
  }
}

function describe(header: ProxyHeader): string {
  if (header.status !== "complete") return header.status;
  const { headerLength, command, transport, hasEndpoints, source, destination } = header;
  const endpoints = hasEndpoints
    ? [source, destination].map((e) => `${formatIp(e.family, e.bytes)} ${e.port}`)
    : [];
  return [headerLength, command, transport, ...endpoints].join(" ");
}

test("decodeProxyHeader on arbitrary and mutated bytes", () => {
  const bytes = new Uint8Array(WINDOW_BYTES + 2 * MARGIN_BYTES);
  const header = new ProxyHeader();
  const seen = { complete: 0, incomplete: 0, malformed: 0 };
  for (let run = 0; run < RUNS; run++) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = below(256);
    const headerLength = random() < 0.05 ? 1 : writeHeader(bytes, MARGIN_BYTES);
    mutate(bytes, MARGIN_BYTES, headerLength);
    const length = random() < 0.5 ? below(headerLength + 1) : headerLength + below(20);
    const result = describe(decodeProxyHeader(bytes, MARGIN_BYTES, length, header));
    seen[header.status]++;
    if (header.status === "complete" && (header.headerLength > length || header.headerLength < 15)) {
      throw new Error(`run ${run}: header of ${header.headerLength} bytes in ${length}`);
    }
    // Other bytes around the window must make no difference; nor may those after a complete header.
    const end = MARGIN_BYTES + (header.status === "complete" ? header.headerLength : length);
    for (let i = 0; i < MARGIN_BYTES; i++) bytes[i] = below(256);
    for (let i = end; i < bytes.length; i++) bytes[i] = below(256);
    const again = describe(decodeProxyHeader(bytes, MARGIN_BYTES, end - MARGIN_BYTES, header));
    if (again !== result) throw new Error(`run ${run}: ${result}, then ${again}`);
    if (header.status === "malformed" && length < WINDOW_BYTES) {
      const longer = decodeProxyHeader(bytes, MARGIN_BYTES, WINDOW_BYTES, header).status;
      if (longer !== "malformed") throw new Error(`run ${run}: malformed, then with more bytes ${longer}`);
    }
  }
  expect(Math.min(seen.complete, seen.incomplete, seen.malformed)).toBeGreaterThan(RUNS / 20);
});

test("decodeProxyHeader: every incomplete header has a byte that continues it", () => {
  const bytes = new Uint8Array(PROXY_V2_MAX_BYTES + 1);
  const header = new ProxyHeader();
  for (let walk = 0; walk < Math.ceil(RUNS / 2000); walk++) {
    let length = 0;
    let canEnd = true;
    while (canEnd && decodeProxyHeader(bytes, 0, length, header).status === "incomplete") {
      canEnd = appendFittingByte(bytes, length++, header);
    }
    if (header.status !== "complete") throw new Error(`dead end after ${bytes.subarray(0, length).toHex()}`);
    expect(header.headerLength).toBe(length);
    if (bytes[0] === 0x50) expect(length).toBeLessThanOrEqual(PROXY_V1_MAX_BYTES);
  }
});

/** Tries all bytes in random order (characters of a v1 line sooner) until one is not malformed. */
function appendFittingByte(bytes: Uint8Array, at: number, header: ProxyHeader): boolean {
  const start = below(256);
  for (let i = -8; i < 256; i++) {
    bytes[at] = i < 0 ? ":::. 0\r5f".charCodeAt(below(9)) : start + i;
    if (decodeProxyHeader(bytes, 0, at + 1, header).status !== "malformed") return true;
  }
  return false;
}
