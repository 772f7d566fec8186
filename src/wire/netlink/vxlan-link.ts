/** What a link of kind "vxlan" has besides: IFLA_INFO_DATA of a link message. [linux/if_link.h, ip-link(8) "VXLAN Type Support"] */
import type { Attributes, AttributeWriter } from "./attributes.ts";

const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_GROUP = 2;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_GROUP6 = 16;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_UDP_CSUM = 18;
const IFLA_VXLAN_UDP_ZERO_CSUM6_TX = 19;
const IFLA_VXLAN_UDP_ZERO_CSUM6_RX = 20;
const IFLA_VXLAN_COLLECT_METADATA = 25;
const IFLA_VXLAN_DF = 29;

/** A value of `dontFragment`: the outer header has the bit. */
export const VXLAN_DF_SET = 1;

export interface VxlanLink {
  /** Virtual network identifier, 24 bits. */
  readonly vni?: number | undefined;
  /** UDP, host order. */
  readonly port?: number | undefined;
  /** 4 or 16 bytes; all zero is the wildcard. Its family is that of the underlay. */
  readonly localAddress?: Uint8Array | undefined;
  /** Where frames for unknown MAC addresses go, 4 or 16 bytes. */
  readonly remoteAddress?: Uint8Array | undefined;
  readonly isLearning?: boolean | undefined;
  /** With an IPv4 underlay: UDP checksums are sent. */
  readonly sendsChecksum?: boolean | undefined;
  /** With an IPv6 underlay: UDP checksums are left out, and those left out are accepted. */
  readonly sendsZeroChecksum6?: boolean | undefined;
  readonly takesZeroChecksum6?: boolean | undefined;
  readonly dontFragment?: number | undefined;
  /** One device for all VNIs: it is said with every packet. */
  readonly isExternal?: boolean | undefined;
}

export function writeVxlanLink(link: VxlanLink, to: AttributeWriter): void {
  const { localAddress, remoteAddress } = link;
  to.uint32(IFLA_VXLAN_ID, link.vni)
    .bytes(remoteAddress?.length === 16 ? IFLA_VXLAN_GROUP6 : IFLA_VXLAN_GROUP, remoteAddress)
    .bytes(localAddress?.length === 16 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL, localAddress)
    .flag(IFLA_VXLAN_LEARNING, link.isLearning)
    .uint16BigEndian(IFLA_VXLAN_PORT, link.port)
    .flag(IFLA_VXLAN_UDP_CSUM, link.sendsChecksum)
    .flag(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, link.sendsZeroChecksum6)
    .flag(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, link.takesZeroChecksum6)
    .flag(IFLA_VXLAN_COLLECT_METADATA, link.isExternal)
    .uint8(IFLA_VXLAN_DF, link.dontFragment);
}

export function readVxlanLink(data: Attributes): VxlanLink {
  return {
    vni: data.uint32(IFLA_VXLAN_ID),
    port: data.uint16BigEndian(IFLA_VXLAN_PORT),
    localAddress: sized(data.bytes(IFLA_VXLAN_LOCAL), 4) ?? sized(data.bytes(IFLA_VXLAN_LOCAL6), 16),
    remoteAddress: sized(data.bytes(IFLA_VXLAN_GROUP), 4) ?? sized(data.bytes(IFLA_VXLAN_GROUP6), 16),
    isLearning: readFlag(data, IFLA_VXLAN_LEARNING),
    sendsChecksum: readFlag(data, IFLA_VXLAN_UDP_CSUM),
    sendsZeroChecksum6: readFlag(data, IFLA_VXLAN_UDP_ZERO_CSUM6_TX),
    takesZeroChecksum6: readFlag(data, IFLA_VXLAN_UDP_ZERO_CSUM6_RX),
    dontFragment: data.uint8(IFLA_VXLAN_DF),
    isExternal: readFlag(data, IFLA_VXLAN_COLLECT_METADATA),
  };
}

function sized(bytes: Uint8Array | undefined, length: number): Uint8Array | undefined {
  return bytes?.length === length ? bytes : undefined;
}

function readFlag(data: Attributes, type: number): boolean | undefined {
  const value = data.uint8(type);
  return value === undefined ? undefined : value !== 0;
}
