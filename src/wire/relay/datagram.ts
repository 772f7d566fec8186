/**
 * UDP relays: the datagrams of clients and tasks between two nodes, and the handshake and probes of a relay. Big-endian.
 *
 * The entry node sends from a connected socket, one for each relay, to the relay port of the exit node. A relay is
 * authenticated once; the exit node keeps no state of it until the entry node has proved that it receives at the address
 * it sends from, and no reply to an unknown sender is longer than the request:
 *
 *     entry node                                              exit node
 *       HELLO      relay id, own name, tag by the relay key ──▶
 *                  ◀── CHALLENGE  cookie = tag of exit's secret over sender, relay id, time      (nothing is kept)
 *       CONFIRM    relay id, cookie, own name, tag         ──▶  the relay is open
 *                  ◀── READY      nonce, tag by the relay's ready key
 *       OPEN       session, its PROXY header, data        ──▶  until answered: any of them may get lost
 *                  ◀── OPENED     session
 *       DATA ◀──▶ DATA · CLOSE ◀──▶ CLOSE · PING ──▶ · ◀── PONG · ◀── ERROR (a session) · ◀── RESET (unknown relay)
 *       PROBE ◀──▶ PROBED · PART ◀──▶ PART       how large datagrams may be, and an OPEN or DATA that is larger
 *
 * All of them start with:                                          and those under a relay's own key continue:
 *
 *      0       1       2        4            12                         12            20         24       40
 *     +-------+-------+--------+------------+                          +-------------+----------+--------+----------+----
 *     | type  | 1     | n      | relay id   |                          | counter     | session  | tag    | n bytes  | data
 *     +-------+-------+--------+------------+                          +-------------+----------+--------+----------+----
 *
 *     HELLO      tag 16, n bytes of entry node's name                  n = 0 but in OPEN, where it is a PROXY header
 *     CHALLENGE  cookie 16                                             counter: 1, 2, 3 …, never twice under a key
 *     CONFIRM    cookie 16, tag 16, n bytes of entry node's name       tag: HMAC-SHA-256, the first 16 bytes, of all
 *     READY      nonce 16, tag 16                                           else in the datagram
 *     RESET      –                                                     session: 1…2^32-1; CLOSE of 0 ends the relay
 *                                                                      PROBE, PROBED: bytes of the PROBE; PART: a number
 *                                                                           that its other parts have, n: part.ts
 *
 * That is version 1, in clear. In version 2 header and data of all datagrams under a relay's own key are sealed, and the n
 * bytes of HELLO, CONFIRM and READY are the 32 of a public key, so an on-path observer cannot read them.
 *
 * This file frames; `tag.ts` authenticates, `datagram-cipher.ts` seals.
 */
import { readUint16, readUint32, writeUint32 } from "../big-endian.ts";

export const RELAY_CLEAR = 1;
export const RELAY_ENCRYPTED = 2;
const PUBLIC_KEY_BYTES = 32;

export const RELAY_HELLO = 1;
export const RELAY_CHALLENGE = 2;
export const RELAY_CONFIRM = 3;
export const RELAY_READY = 4;
export const RELAY_RESET = 5;
export const RELAY_OPEN = 6;
export const RELAY_OPENED = 7;
export const RELAY_DATA = 8;
export const RELAY_CLOSE = 9;
export const RELAY_ERROR = 10;
export const RELAY_PING = 11;
export const RELAY_PONG = 12;
export const RELAY_PROBE = 13;
export const RELAY_PROBED = 14;
export const RELAY_PART = 15;

/** What an ERROR says of its session: its one byte of data. */
export const ERROR_NO_SUCH_TASK = 1;
export const ERROR_REFUSED = 2;
export const ERROR_LIMIT = 3;
export const ERROR_DRAINING = 4;
export const ERROR_MALFORMED = 5;
const LAST_ERROR = ERROR_MALFORMED;

export const RELAY_ID_BYTES = 8;
export const TAG_BYTES = 16;
export const COOKIE_BYTES = 16;
export const NONCE_BYTES = 16;
export const MAX_NODE_NAME_BYTES = 255;

export const COUNT_AT = 2;
export const RELAY_ID_AT = 4;
export const RESET_BYTES = 12;
/** Where the tag, cookie or nonce of a handshake datagram is, and the tag behind a cookie or nonce. */
export const PROOF_AT = 12;
export const SECOND_TAG_AT = 28;
/** With none of the n bytes. */
export const RELAY_HELLO_BYTES = 28;
export const CHALLENGE_BYTES = 28;
const CONFIRM_BYTES = 44;
export const READY_BYTES = 44;

/** Under a relay's own key: everything before the tag, and all before header and data. */
export const SEALED_HEAD_BYTES = 24;
export const SEALED_BYTES = 40;
/** Of the n bytes of a PART; behind them, in the first part, there is the header of an OPEN. */
export const PART_HEAD_BYTES = 12;
export const COUNTER_AT = 12;
const SESSION_AT = 20;
/** Counters end where a number no longer holds them. */
const COUNTER_HIGH_END = 2 ** 21;

/** A view of one datagram; the reader keeps it and reads into it again. */
export class RelayDatagram {
  type = 0;
  /** RELAY_CLEAR or RELAY_ENCRYPTED: header and data cannot be read before it has been opened. */
  version = 0;
  /** Offset of the datagram in `bytes`. */
  at = 0;
  /** The relay's id as two words. */
  relayIdHigh = 0;
  relayIdLow = 0;
  /** The n bytes: the entry node's name, a public key, or the PROXY header of an OPEN. */
  headerAt = 0;
  headerLength = 0;
  /** Only under a relay's own key. */
  counter = 0;
  session = 0;
  dataAt = 0;
  dataLength = 0;

  get isSealed(): boolean {
    return this.type >= RELAY_OPEN;
  }
}

/** Reads bytes[at … at + length). False: it is none of ours; `into` then means nothing. Proves nothing about its sender. */
export function decodeRelayDatagram(
  bytes: Uint8Array,
  at: number,
  length: number,
  into: RelayDatagram,
): boolean {
  if (length < RESET_BYTES || !isVersion(bytes[at + 1]!)) return false;
  into.type = bytes[at]!;
  into.version = bytes[at + 1]!;
  into.at = at;
  into.relayIdHigh = readUint32(bytes, at + RELAY_ID_AT);
  into.relayIdLow = readUint32(bytes, at + RELAY_ID_AT + 4);
  into.headerLength = readUint16(bytes, at + COUNT_AT);
  return into.isSealed ? decodeSealed(bytes, at, length, into) : isHandshake(length, into);
}

function isVersion(version: number): boolean {
  return version === RELAY_CLEAR || version === RELAY_ENCRYPTED;
}

function isHandshake(length: number, datagram: RelayDatagram): boolean {
  const { at, type, version, headerLength } = datagram;
  const fixedBytes = handshakeBytes(type);
  datagram.headerAt = at + fixedBytes;
  if (fixedBytes + headerLength !== length) return false;
  const isNamed = type === RELAY_HELLO || type === RELAY_CONFIRM;
  if (version === RELAY_ENCRYPTED && (isNamed || type === RELAY_READY))
    return headerLength === PUBLIC_KEY_BYTES;
  return isNamed ? headerLength >= 1 && headerLength <= MAX_NODE_NAME_BYTES : headerLength === 0;
}

function handshakeBytes(type: number): number {
  switch (type) {
    case RELAY_HELLO:
      return RELAY_HELLO_BYTES;
    case RELAY_CHALLENGE:
      return CHALLENGE_BYTES;
    case RELAY_CONFIRM:
      return CONFIRM_BYTES;
    case RELAY_READY:
      return READY_BYTES;
    case RELAY_RESET:
      return RESET_BYTES;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

function decodeSealed(bytes: Uint8Array, at: number, length: number, into: RelayDatagram): boolean {
  if (length < SEALED_BYTES + into.headerLength) return false;
  const counterHigh = readUint32(bytes, at + COUNTER_AT);
  if (counterHigh >= COUNTER_HIGH_END) return false;
  into.counter = counterHigh * 2 ** 32 + readUint32(bytes, at + COUNTER_AT + 4);
  into.session = readUint32(bytes, at + SESSION_AT);
  into.headerAt = at + SEALED_BYTES;
  into.dataAt = into.headerAt + into.headerLength;
  into.dataLength = length - SEALED_BYTES - into.headerLength;
  return into.counter > 0 && isSealedKind(into);
}

/** What only some types have: a session, a header, data. */
function isSealedKind({ type, session, headerLength, dataLength }: RelayDatagram): boolean {
  if (type === RELAY_OPEN) return session > 0 && headerLength > 0;
  if (type === RELAY_PART) return headerLength >= PART_HEAD_BYTES;
  if (headerLength > 0) return false;
  switch (type) {
    case RELAY_DATA:
      return session > 0;
    case RELAY_OPENED:
      return session > 0 && dataLength === 0;
    case RELAY_CLOSE:
      return dataLength === 0;
    case RELAY_ERROR:
      return session > 0 && dataLength === 1;
    case RELAY_PING:
    case RELAY_PONG:
      return session === 0 && dataLength === 0;
    case RELAY_PROBE:
      return session === SEALED_BYTES + dataLength;
    case RELAY_PROBED:
      return dataLength === 0;
    default:
      return false;
  }
}

/** What an authentic ERROR says. */
export function errorCodeOf(bytes: Uint8Array, { dataAt }: RelayDatagram): number {
  const code = bytes[dataAt]!;
  return code >= 1 && code <= LAST_ERROR ? code : ERROR_MALFORMED;
}

/**
 * Writes a handshake datagram but for its cookie, nonce and tag, for which it leaves room; returns its length.
 * `name` is the entry node's (UTF-8, 1…255 bytes) in HELLO and CONFIRM and empty in all others; of RELAY_ENCRYPTED it is
 * the sender's public key there and in READY.
 */
export function writeHandshake(
  type: number,
  relayId: Uint8Array,
  name: Uint8Array,
  out: Uint8Array,
  at: number,
  version = RELAY_CLEAR,
): number {
  const fixedBytes = handshakeBytes(type);
  writeStart(type, version, relayId, name.length, out, at);
  out.set(name, at + fixedBytes);
  return fixedBytes + name.length;
}

/** Writes the SEALED_BYTES before header and data, without the tag. */
export function writeSealedHead(
  type: number,
  relayId: Uint8Array,
  headerLength: number,
  counter: number,
  session: number,
  out: Uint8Array,
  at: number,
  version = RELAY_CLEAR,
): void {
  writeStart(type, version, relayId, headerLength, out, at);
  writeUint32(Math.floor(counter / 2 ** 32), out, at + COUNTER_AT);
  writeUint32(counter, out, at + COUNTER_AT + 4);
  writeUint32(session, out, at + SESSION_AT);
}

function writeStart(
  type: number,
  version: number,
  relayId: Uint8Array,
  count: number,
  out: Uint8Array,
  at: number,
): void {
  out[at] = type;
  out[at + 1] = version;
  out[at + COUNT_AT] = count >> 8;
  out[at + COUNT_AT + 1] = count;
  for (let i = 0; i < RELAY_ID_BYTES; i++) out[at + RELAY_ID_AT + i] = relayId[i]!;
}

/** The relay id of a datagram, copied. */
export function relayIdOf(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.slice(at + RELAY_ID_AT, at + RELAY_ID_AT + RELAY_ID_BYTES);
}

export function relayIdMatches(bytes: Uint8Array, { at }: RelayDatagram, relayId: Uint8Array): boolean {
  for (let i = 0; i < RELAY_ID_BYTES; i++) if (bytes[at + RELAY_ID_AT + i] !== relayId[i]) return false;
  return true;
}
