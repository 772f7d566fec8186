/**
 * RTM_NEWADDR and its kin: addresses of interfaces. Host order. [rtnetlink(7), linux/if_addr.h]
 *
 *      0        1               2       3       4       8
 *     +--------+---------------+-------+-------+-------+---------------
 *     | family | prefix length | flags | scope | index | attributes …
 *     +--------+---------------+-------+-------+-------+---------------
 */
import { AttributeWriter, splitMessage } from "./attributes.ts";

const HEAD_BYTES = 8;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;

export interface AddressMessage {
  /** AF_INET, AF_INET6. */
  readonly family: number;
  readonly prefixLength: number;
  readonly scope: number;
  readonly interfaceIndex: number;
  readonly flags?: number | undefined;
  /** The prefix's address; the peer's on point-to-point links. */
  readonly address?: Uint8Array | undefined;
  /** IPv4: the interface's own. */
  readonly local?: Uint8Array | undefined;
}

export function encodeAddressMessage(message: AddressMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setUint8(0, message.family);
  head.setUint8(1, message.prefixLength);
  head.setUint8(2, message.flags ?? 0);
  head.setUint8(3, message.scope);
  head.setUint32(4, message.interfaceIndex, true);
  return new AttributeWriter(new Uint8Array(head.buffer))
    .bytes(IFA_LOCAL, message.local)
    .bytes(IFA_ADDRESS, message.address)
    .uint32(IFA_FLAGS, message.flags)
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeAddressMessage(payload: Uint8Array): AddressMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  return {
    family: head.getUint8(0),
    prefixLength: head.getUint8(1),
    scope: head.getUint8(3),
    interfaceIndex: head.getUint32(4, true),
    flags: attributes.uint32(IFA_FLAGS),
    address: attributes.bytes(IFA_ADDRESS),
    local: attributes.bytes(IFA_LOCAL),
  };
}
