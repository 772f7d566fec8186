/**
 * Several messages in one packet: 7 | count | count × length u16 | the messages. [memberlist util.go]
 */
import { readUint16 } from "../big-endian.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { COMPOUND } from "./message-type.ts";

/** Members up to memberlist 0.2.3 misread more. */
const MAX_COMPOUND_PARTS = 127;
/** What a compound takes in itself, and for each of its parts. */
export const COMPOUND_BYTES = 2;
export const COMPOUND_PART_BYTES = 2;
const MAX_PART_BYTES = 0xffff;

/** At most MAX_COMPOUND_PARTS messages of at most 65535 bytes. */
export function encodeCompound(messages: readonly Uint8Array[]): Uint8Array {
  if (messages.length > MAX_COMPOUND_PARTS) {
    throw new RangeError(
      `cannot make a compound of ${messages.length} messages: at most ${MAX_COMPOUND_PARTS}`,
    );
  }
  const out = new ByteBuilder();
  out.push(COMPOUND);
  out.push(messages.length);
  for (const { length } of messages) {
    if (length > MAX_PART_BYTES) {
      throw new RangeError(`cannot make a compound of ${length} bytes: at most ${MAX_PART_BYTES} each`);
    }
    out.pushUint(length, 2);
  }
  for (const message of messages) out.append(message);
  return out.bytes;
}

export interface CompoundParts {
  /** Views of the compound. */
  readonly parts: readonly Uint8Array[];
  /** Parts that are not there in full; the ones in front of them are. */
  readonly truncated: number;
}

/** `compound` begins with the type byte. Null when not even the count is there. */
export function decodeCompound(compound: Uint8Array): CompoundParts | null {
  const count = compound[1];
  if (count === undefined) return null;
  const parts: Uint8Array[] = [];
  let at = COMPOUND_BYTES + COMPOUND_PART_BYTES * count;
  for (let i = 0; i < count && at <= compound.length; i++) {
    const lengthAt = COMPOUND_BYTES + COMPOUND_PART_BYTES * i;
    const end = at + readUint16(compound, lengthAt);
    if (end > compound.length) break;
    parts.push(compound.subarray(at, end));
    at = end;
  }
  return { parts, truncated: count - parts.length };
}
