/**
 * What is common to all netlink messages: the header, and how several follow each other in one datagram. Host order.
 * [RFC 3549 §2.2, netlink(7)]
 *
 *      0        4      6       8          12        16
 *     +--------+------+-------+----------+---------+-------------+---------------+
 *     | length | type | flags | sequence | port id | payload …   | 0 to 3 bytes  |
 *     +--------+------+-------+----------+---------+-------------+---------------+
 */
import { aligned } from "./attributes.ts";

const HEADER_BYTES = 16;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;
export const RTM_NEWQDISC = 36;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_GETTFILTER = 46;
export const RTM_NEWNETCONF = 80;

export const NLM_F_REQUEST = 0x1;
/** An answer of several messages, ended by NLMSG_DONE. */
export const NLM_F_MULTI = 0x2; // for tests: NLMSG_DONE says the same
export const NLM_F_ACK = 0x4;
/** What was dumped changed meanwhile: it may be inconsistent. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In an error: without the request's payload; attributes follow. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Uint8Array;
}

export function encodeNetlinkMessage(message: NetlinkMessage): Uint8Array {
  const { type, flags, sequence, portId, payload } = message;
  const bytes = new Uint8Array(aligned(HEADER_BYTES + payload.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, HEADER_BYTES + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  view.setUint32(12, portId, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** The messages of one datagram; payloads are views of it. null: one of them leaves the datagram. */
export function decodeNetlinkMessages(bytes: Uint8Array): NetlinkMessage[] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + HEADER_BYTES > bytes.length) return null;
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || length > bytes.length - at) return null;
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      portId: view.getUint32(at + 12, true),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return messages;
}
