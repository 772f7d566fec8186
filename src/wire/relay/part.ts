/**
 * The head of a PART (datagram.ts): which piece of an OPEN or DATA it carries. Big-endian.
 *
 *      0        1       2       3   4         8        10      12
 *     +--------+-------+-------+---+---------+--------+-------+----------------------
 *     | type   | index | count | 0 | session | offset | total | header, index 0 only
 *     +--------+-------+-------+---+---------+--------+-------+----------------------
 *
 *     type, session    of the OPEN or DATA            offset   of this part's data in all data
 *     index < count    of this part                   total    bytes of all data
 */
import { readUint16, readUint32, writeUint16, writeUint32 } from "../big-endian.ts";
import { PART_HEAD_BYTES, RELAY_DATA, RELAY_OPEN, type RelayDatagram } from "./datagram.ts";

export const MAX_PARTS_OF_DATAGRAM = 64;

/** Reused by the reader. */
export class RelayPart {
  type = 0;
  index = 0;
  count = 0;
  session = 0;
  offset = 0;
  total = 0;
}

/** Reads the head of an opened PART. False: it is none, or not one of that length. */
export function decodeRelayPart(bytes: Uint8Array, datagram: RelayDatagram, into: RelayPart): boolean {
  const { headerAt: at, headerLength, dataLength } = datagram;
  into.type = bytes[at]!;
  into.index = bytes[at + 1]!;
  into.count = bytes[at + 2]!;
  into.session = readUint32(bytes, at + 4);
  into.offset = readUint16(bytes, at + 8);
  into.total = readUint16(bytes, at + 10);
  if (into.count < 2 || into.count > MAX_PARTS_OF_DATAGRAM || into.index >= into.count) return false;
  if (into.session === 0 || into.offset + dataLength > into.total) return false;
  const hasHeader = headerLength > PART_HEAD_BYTES;
  if (into.type === RELAY_OPEN) return hasHeader === (into.index === 0);
  return into.type === RELAY_DATA && !hasHeader;
}

/** Writes PART_HEAD_BYTES. */
export function writeRelayPart(
  type: number,
  index: number,
  count: number,
  session: number,
  offset: number,
  total: number,
  out: Uint8Array,
  at: number,
): void {
  out[at] = type;
  out[at + 1] = index;
  out[at + 2] = count;
  out[at + 3] = 0;
  writeUint32(session, out, at + 4);
  writeUint16(offset, out, at + 8);
  writeUint16(total, out, at + 10);
}
