/**
 * The decoder of datagrams between nodes on arbitrary and mutated bytes. FUZZ_RUNS sets how many (default 200000),
 * FUZZ_SEED repeats a run. Checked every time: no exception, nothing outside the window is read or named, what is read
 * is written back as the same bytes, and no mutation passes for authentic.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  DatagramCipher,
  type DatagramSeal,
  decodeRelayDatagram,
  decodeRelayPart,
  RELAY_CLEAR,
  RELAY_CLOSE,
  RELAY_CONFIRM,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_ERROR,
  RELAY_HELLO,
  RELAY_OPEN,
  RELAY_PART,
  RELAY_PING,
  RELAY_PONG,
  RELAY_PROBE,
  RELAY_READY,
  RELAY_RESET,
  RelayDatagram,
  RelayPart,
  relayIdOf,
  SEALED_BYTES,
  Tagger,
  writeHandshake,
  writeRelayPart,
  writeSealedHead,
} from "../../src/wire/index.ts";
import { GCM } from "../support/overlay/gcm.ts";
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

const seals: Readonly<Record<number, DatagramSeal>> = {
  [RELAY_CLEAR]: new Tagger(new Uint8Array(32).fill(1)),
  [RELAY_ENCRYPTED]: new DatagramCipher(new Uint8Array(32).fill(1), GCM),
};

/** What it has for a name, or instead of one. */
function nameFor(type: number, version: number): Uint8Array {
  const isNamed = type === RELAY_HELLO || type === RELAY_CONFIRM;
  if (version === RELAY_CLEAR) return new Uint8Array(isNamed ? 1 + below(20) : 0).fill(97);
  return new Uint8Array(isNamed || type === RELAY_READY ? 32 : 0).fill(97);
}

/** A well-formed datagram of random content; returns its length. Sealed ones have the right tag. */
function writeDatagram(out: Uint8Array, at: number): number {
  const type = 1 + below(RELAY_PART);
  const version = 1 + below(2);
  const relayId = Uint8Array.from({ length: 8 }, () => below(256));
  if (type <= RELAY_RESET) {
    return writeHandshake(type, relayId, nameFor(type, version), out, at, version);
  }
  const headerLength = headerLengthOf(type);
  const hasData = type === RELAY_OPEN || type === RELAY_DATA || type === RELAY_PROBE || type === RELAY_PART;
  const dataLength = hasData ? below(40) : type === RELAY_ERROR ? 1 : 0;
  const session = sessionOf(type, dataLength);
  writeSealedHead(type, relayId, headerLength, 1 + below(2 ** 53 - 1), session, out, at, version);
  if (type === RELAY_ERROR) out[at + SEALED_BYTES] = 1 + below(5);
  if (type === RELAY_PART && below(2) === 0) {
    const inner = headerLength > 12 ? RELAY_OPEN : RELAY_DATA;
    const index = inner === RELAY_OPEN ? 0 : below(4);
    writeRelayPart(inner, index, 1 + below(5), below(3), below(200), below(300), out, at + SEALED_BYTES);
  }
  seals[version]!.seal(out, at, headerLength, at + SEALED_BYTES + headerLength, dataLength);
  return SEALED_BYTES + headerLength + dataLength;
}

function headerLengthOf(type: number): number {
  if (type === RELAY_PART) return 12 + (below(2) === 0 ? 0 : below(20));
  return type === RELAY_OPEN ? 1 + below(30) : 0;
}

function sessionOf(type: number, dataLength: number): number {
  if (type === RELAY_PROBE) return SEALED_BYTES + dataLength;
  const isOfLink = type === RELAY_PING || type === RELAY_PONG || (type === RELAY_CLOSE && below(2) === 0);
  return isOfLink ? 0 : 1 + below(2 ** 32 - 1);
}

function mutate(bytes: Uint8Array, at: number, length: number): boolean {
  const before = bytes.slice(at, at + length);
  for (let count = below(4); count > 0; count--) bytes[at + below(length)]! ^= 1 << below(8);
  return !before.every((byte, i) => byte === bytes[at + i]);
}

function describe(isOurs: boolean, datagram: RelayDatagram): string {
  return isOurs ? JSON.stringify(datagram) : "malformed";
}

/** The start and, of a sealed one, the head, written again from what was read. */
function rewrite(bytes: Uint8Array, datagram: RelayDatagram): Uint8Array {
  const { at, type, version, headerAt, headerLength, counter, session } = datagram;
  const relayId = relayIdOf(bytes, at);
  const out = new Uint8Array(WINDOW_BYTES);
  if (datagram.isSealed) {
    writeSealedHead(type, relayId, headerLength, counter, session, out, 0, version);
    return out.subarray(0, 24);
  }
  writeHandshake(type, relayId, bytes.subarray(headerAt, headerAt + headerLength), out, 0, version);
  return out.subarray(0, 12);
}

test("decodeRelayDatagram on arbitrary and mutated bytes", () => {
  const bytes = new Uint8Array(WINDOW_BYTES + 2 * MARGIN_BYTES);
  const datagram = new RelayDatagram();
  const seen = new Map<number, number>();
  const part = new RelayPart();
  let authentic = 0;
  let parts = 0;
  for (let run = 0; run < RUNS; run++) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = below(256);
    const isWritten = random() < 0.9;
    const written = isWritten ? writeDatagram(bytes, MARGIN_BYTES) : below(WINDOW_BYTES);
    const isChanged = written > 0 && mutate(bytes, MARGIN_BYTES, written);
    const length = random() < 0.8 ? written : below(WINDOW_BYTES);
    const isOurs = decodeRelayDatagram(bytes, MARGIN_BYTES, length, datagram);
    const result = describe(isOurs, datagram);
    seen.set(isOurs ? datagram.type : 0, (seen.get(isOurs ? datagram.type : 0) ?? 0) + 1);
    if (isOurs) {
      const { headerAt, headerLength, dataAt, dataLength } = datagram;
      const end = datagram.isSealed ? dataAt + dataLength : headerAt + headerLength;
      if (end !== MARGIN_BYTES + length) throw new Error(`run ${run}: ends at ${end}`);
      const again = rewrite(bytes, datagram);
      expect(again.toHex()).toBe(bytes.slice(MARGIN_BYTES, MARGIN_BYTES + again.length).toHex());
    }
    if (isOurs && datagram.isSealed) {
      const isAuthentic = seals[datagram.version]!.open(bytes, MARGIN_BYTES, length);
      const isIntact = isWritten && !isChanged && length === written;
      if (isAuthentic !== isIntact)
        throw new Error(`run ${run}: authentic: ${isAuthentic}, intact: ${isIntact}`);
      if (isAuthentic) authentic++;
      if (datagram.type === RELAY_PART && decodeRelayPart(bytes, datagram, part)) {
        if (part.offset + datagram.dataLength > part.total || part.index >= part.count)
          throw new Error(`run ${run}: a part outside of its datagram`);
        parts++;
      }
    }
    for (let i = 0; i < MARGIN_BYTES; i++) bytes[i] = below(256);
    for (let i = MARGIN_BYTES + length; i < bytes.length; i++) bytes[i] = below(256);
    const other = describe(decodeRelayDatagram(bytes, MARGIN_BYTES, length, datagram), datagram);
    if (other !== result) throw new Error(`run ${run}: ${result}, then ${other}`);
  }
  expect(parts).toBeGreaterThan(0);
  for (let type = 0; type <= RELAY_PART; type++) expect(seen.get(type) ?? 0).toBeGreaterThan(RUNS / 500);
  expect(authentic).toBeGreaterThan(RUNS / 50);
});
