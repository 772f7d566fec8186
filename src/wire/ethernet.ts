/**
 * Ethernet frames, and the ARP that asks for their addresses.
 *
 *      0           6        12     14
 *     +-----------+--------+------+-----------
 *     | to        | from   | type | packet …
 *     +-----------+--------+------+-----------
 *
 * ARP for IPv4 over Ethernet [RFC 826], 28 bytes:
 *
 *      0      2        4   5   6    8            14          18           24
 *     +------+--------+---+---+----+------------+-----------+------------+-----------+
 *     | 1    | 0x0800 | 6 | 4 | op | sender MAC | sender IP | target MAC | target IP |
 *     +------+--------+---+---+----+------------+-----------+------------+-----------+
 */
import { readInt32, readUint16, writeUint16, writeUint32 } from "./big-endian.ts";

export const ETHERNET_BYTES = 14;
export const MAC_BYTES = 6;
/** Byte of the broadcast MAC address. */
export const BROADCAST_BYTE = 0xff;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_AT = 12;
export const ARP_BYTES = 28;
export const ARP_REQUEST = 1;
const ARP_REPLY = 2;

const HARDWARE_ETHERNET = 1;
const ADDRESS_LENGTHS = 0x0604;
const SENDER_MAC_AT = 8;
const SENDER_IP_AT = 14;
const TARGET_MAC_AT = 18;
const TARGET_IP_AT = 24;

/** IPv4 addresses as int32 in network order. */
export interface ArpPacket {
  operation: number;
  /** Offset of its 6 bytes. */
  senderMacAt: number;
  senderAddress: number;
  targetAddress: number;
}

export function writeEthernet(
  to: Uint8Array,
  from: Uint8Array,
  type: number,
  out: Uint8Array,
  at: number,
): void {
  out.set(to, at);
  out.set(from, at + MAC_BYTES);
  writeUint16(type, out, at + ETHERTYPE_AT);
}

/** False: it is too short, not of IPv4 over Ethernet, or neither request nor reply. */
export function decodeArp(bytes: Uint8Array, at: number, length: number, into: ArpPacket): boolean {
  if (length < ARP_BYTES || readUint16(bytes, at) !== HARDWARE_ETHERNET) return false;
  if (readUint16(bytes, at + 2) !== ETHERTYPE_IPV4 || readUint16(bytes, at + 4) !== ADDRESS_LENGTHS)
    return false;
  into.operation = readUint16(bytes, at + 6);
  into.senderMacAt = at + SENDER_MAC_AT;
  into.senderAddress = readInt32(bytes, at + SENDER_IP_AT);
  into.targetAddress = readInt32(bytes, at + TARGET_IP_AT);
  return into.operation === ARP_REQUEST || into.operation === ARP_REPLY;
}

/** Asks for the MAC of `target`; the sender's is `mac`. ARP_BYTES. */
export function writeArpRequest(
  mac: Uint8Array,
  sender: number,
  target: number,
  out: Uint8Array,
  at: number,
): void {
  writeArpHead(ARP_REQUEST, out, at);
  out.set(mac, at + SENDER_MAC_AT);
  writeUint32(sender, out, at + SENDER_IP_AT);
  out.fill(0, at + TARGET_MAC_AT, at + TARGET_IP_AT);
  writeUint32(target, out, at + TARGET_IP_AT);
}

/** Answers the request at `requestAt`: its target is at `mac`. ARP_BYTES. */
export function writeArpReply(
  bytes: Uint8Array,
  requestAt: number,
  mac: Uint8Array,
  out: Uint8Array,
  at: number,
): void {
  writeArpHead(ARP_REPLY, out, at);
  out.set(mac, at + SENDER_MAC_AT);
  for (let i = 0; i < 4; i++) out[at + SENDER_IP_AT + i] = bytes[requestAt + TARGET_IP_AT + i]!;
  // MAC and IP of the sender follow each other
  for (let i = 0; i < MAC_BYTES + 4; i++) out[at + TARGET_MAC_AT + i] = bytes[requestAt + SENDER_MAC_AT + i]!;
}

function writeArpHead(operation: number, out: Uint8Array, at: number): void {
  writeUint16(HARDWARE_ETHERNET, out, at);
  writeUint16(ETHERTYPE_IPV4, out, at + 2);
  writeUint16(ADDRESS_LENGTHS, out, at + 4);
  writeUint16(operation, out, at + 6);
}
