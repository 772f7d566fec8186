/**
 * The most bytes a message on a stream may have, by kind. Members written in Go take 20 MiB of everything, also from
 * peers without a key; these limits are what a cluster can need.
 */
import { COMPRESS, PUSH_PULL, USER } from "./message-type.ts";

/** 10,000 members with the largest tags there are, 512 bytes, and what serf's agents add. Also of an encrypted frame. */
export const MAX_STREAM_BYTES = 8 * 2 ** 20;
/** The catalog's messages are at most 256 KiB; agents send none of these. */
const MAX_USER_BYTES = 288 * 1024;
/** Pings, acks and errors: a name, or a sentence. */
export const MAX_SHORT_BYTES = 4 * 1024;

/** @param type the first byte of the message */
export function maxStreamBytes(type: number): number {
  if (type === PUSH_PULL || type === COMPRESS) return MAX_STREAM_BYTES;
  return type === USER ? MAX_USER_BYTES : MAX_SHORT_BYTES;
}
