/**
 * RTM_NEWNEIGH and its kin: neighbours (which MAC address has an IP address) and, of family AF_BRIDGE, forwarding
 * entries (where frames for a MAC address go). Host order but for the port. [rtnetlink(7), linux/neighbour.h]
 *
 *      0        1       4       8       10      11     12
 *     +--------+-------+-------+-------+-------+------+---------------
 *     | family | 0 0 0 | index | state | flags | type | attributes …
 *     +--------+-------+-------+-------+-------+------+---------------
 */
import { AttributeWriter, splitMessage } from "./attributes.ts";

const HEAD_BYTES = 12;

export const AF_BRIDGE = 7;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
/** The entry is the interface's own, not that of a bridge it is a port of. */
export const NTF_SELF = 0x02;

const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_PORT = 6;
const NDA_VNI = 7;

export interface NeighbourMessage {
  /** AF_INET, AF_INET6, AF_BRIDGE. */
  readonly family: number;
  readonly interfaceIndex: number;
  readonly state: number;
  readonly flags: number;
  /** The neighbour's IP address; of a forwarding entry the VTEP's. */
  readonly destination?: Uint8Array | undefined;
  readonly macAddress?: Uint8Array | undefined;
  /** UDP port of the VTEP, host order; absent: the device's. */
  readonly port?: number | undefined;
  /** Absent: the device's. */
  readonly vni?: number | undefined;
}

export function encodeNeighbourMessage(message: NeighbourMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setUint8(0, message.family);
  head.setInt32(4, message.interfaceIndex, true);
  head.setUint16(8, message.state, true);
  head.setUint8(10, message.flags);
  return new AttributeWriter(new Uint8Array(head.buffer))
    .bytes(NDA_DST, message.destination)
    .bytes(NDA_LLADDR, message.macAddress)
    .uint16BigEndian(NDA_PORT, message.port)
    .uint32(NDA_VNI, message.vni)
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeNeighbourMessage(payload: Uint8Array): NeighbourMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  return {
    family: head.getUint8(0),
    interfaceIndex: head.getInt32(4, true),
    state: head.getUint16(8, true),
    flags: head.getUint8(10),
    destination: attributes.bytes(NDA_DST),
    macAddress: attributes.bytes(NDA_LLADDR),
    port: attributes.uint16BigEndian(NDA_PORT),
    vni: attributes.uint32(NDA_VNI),
  };
}
