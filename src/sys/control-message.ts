/**
 * Control messages of sendmsg and recvmsg: what goes along with the bytes. [cmsg(3)]
 *
 *   cmsghdr   length u64 (with the header) · level i32 · type i32 · data, and padding to 8 bytes
 *
 * musl's u32 length with padding is the same bytes. Offsets are multiples of 4.
 */
import type { Arena } from "./arena.ts";

export const CONTROL_HEADER_BYTES = 16;

/** Offset of the data of the first control message of a kind, or -1. */
export function findControl(arena: Arena, at: number, length: number, level: number, type: number): number {
  const end = at + length;
  while (at + CONTROL_HEADER_BYTES <= end) {
    const word = at / 4;
    const size = arena.int32[word]!;
    if (size < CONTROL_HEADER_BYTES || at + size > end) return -1;
    if (arena.int32[word + 2] === level && arena.int32[word + 3] === type) return at + CONTROL_HEADER_BYTES;
    at += paddedControl(size);
  }
  return -1;
}

/** Bytes of the data that `findControl` has found. */
export function controlDataBytes(arena: Arena, found: number): number {
  return arena.int32[(found - CONTROL_HEADER_BYTES) / 4]! - CONTROL_HEADER_BYTES;
}

/** Writes the header of a message with so many bytes of data. */
export function writeControlHeader(
  { int32 }: Arena,
  at: number,
  level: number,
  type: number,
  dataBytes: number,
): void {
  const to = at / 4;
  int32[to] = CONTROL_HEADER_BYTES + dataBytes;
  int32[to + 1] = 0;
  int32[to + 2] = level;
  int32[to + 3] = type;
}

/** What a message of `size` bytes takes up. */
export function paddedControl(size: number): number {
  return (size + 7) & ~7;
}
