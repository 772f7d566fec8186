/**
 * Datagrams of the encrypted overlay. A seal is one AEAD over a whole super-packet; it travels as up to 64 datagrams
 * of one size, the last of which may be shorter, so that they leave as one burst.
 *
 *      0      1      2      3      4                  8                                16       18      20
 *     ┌──────┬──────┬──────┬──────┬──────────────────┬────────────────────────────────┬────────┬────────┬─ ─ ─
 *     │ kind │ index│ count│  0   │ key id           │ counter                        │ length │ chunk  │ part of the seal
 *     └──────┴──────┴──────┴──────┴──────────────────┴────────────────────────────────┴────────┴────────┴─ ─ ─
 *
 * Big-endian. `length` is that of the seal, ciphertext and tag, `chunk` that of its parts but the last. The first byte
 * has not the flag that every VXLAN header has [RFC 7348 §5], so both share a port. Everything but `index` is bound
 * into the AEAD, and a part at a wrong index breaks it: nothing here is believed before that.
 */

export const SEAL_PACKET = 0x50;
export const SEAL_CONTROL = 0x51;
export type SealKind = typeof SEAL_PACKET | typeof SEAL_CONTROL;

export const SEAL_HEADER_BYTES = 20;
export const SEAL_TAG_BYTES = 16;
/** UDP_MAX_SEGMENTS of kernels before 6.9. */
export const MAX_PARTS = 64;
/** A super-packet of 64 KiB with its virtio header, and the tag. */
export const MAX_SEAL_BYTES = 65_535;
/** Flag of VXLAN's first byte. */
const VXLAN_I_FLAG = 0x08;

const INDEX_AT = 1;
const COUNT_AT = 2;
const RESERVED_AT = 3;
const KEY_ID_AT = 4;
const COUNTER_AT = 8;
const LENGTH_AT = 16;
const CHUNK_AT = 18;

/** A header as it was read; reused. */
export class SealDatagram {
  kind: SealKind = SEAL_PACKET;
  index = 0;
  count = 0;
  /** uint32 */
  keyId = 0;
  /** 1 … 2^53 - 1 */
  counter = 0;
  /** Of the whole seal. */
  length = 0;
  chunk = 0;
}

/** Whether the datagram is one of ours: plain VXLAN has another first byte. */
export function isSealDatagram(firstByte: number): boolean {
  return (firstByte & VXLAN_I_FLAG) === 0;
}

/** Reads the header of the datagram bytes[at … at + length) and checks it against that length; false: it is none. */
export function decodeSealDatagram(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  into: SealDatagram,
): boolean {
  if (length <= SEAL_HEADER_BYTES) return false;
  const kind = bytes[at]!;
  if ((kind !== SEAL_PACKET && kind !== SEAL_CONTROL) || bytes[at + RESERVED_AT] !== 0) return false;
  into.kind = kind;
  into.index = bytes[at + INDEX_AT]!;
  into.count = bytes[at + COUNT_AT]!;
  into.keyId = view.getUint32(at + KEY_ID_AT);
  into.counter = view.getUint32(at + COUNTER_AT) * 2 ** 32 + view.getUint32(at + COUNTER_AT + 4);
  into.length = view.getUint16(at + LENGTH_AT);
  into.chunk = view.getUint16(at + CHUNK_AT);
  return isConsistent(into, length - SEAL_HEADER_BYTES);
}

/** Writes a header but for its index, which is 0: that is what the AEAD binds. */
export function writeSealHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  { kind, count, keyId, counter, length, chunk }: Omit<SealDatagram, "index">,
): void {
  bytes[at] = kind;
  bytes[at + INDEX_AT] = 0;
  bytes[at + COUNT_AT] = count;
  bytes[at + RESERVED_AT] = 0;
  view.setUint32(at + KEY_ID_AT, keyId);
  view.setUint32(at + COUNTER_AT, Math.floor(counter / 2 ** 32));
  view.setUint32(at + COUNTER_AT + 4, counter >>> 0);
  view.setUint16(at + LENGTH_AT, length);
  view.setUint16(at + CHUNK_AT, chunk);
}

/** The header at `from` once more at `to`, with another index. */
export function copySealHeader(bytes: Uint8Array, from: number, to: number, index: number): void {
  bytes.copyWithin(to, from, from + SEAL_HEADER_BYTES);
  bytes[to + INDEX_AT] = index;
}

/** Parts that a seal of that length has. */
export function partsOf(length: number, chunk: number): number {
  return Math.ceil(length / chunk);
}

function isConsistent({ index, count, counter, length, chunk }: SealDatagram, partLength: number): boolean {
  if (length <= SEAL_TAG_BYTES || chunk === 0 || count === 0 || count > MAX_PARTS || index >= count)
    return false;
  if (counter < 1 || counter > Number.MAX_SAFE_INTEGER || partsOf(length, chunk) !== count) return false;
  return partLength === (index === count - 1 ? length - index * chunk : chunk);
}
