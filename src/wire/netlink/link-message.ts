/**
 * RTM_NEWLINK and its kin: network interfaces. Host order. [rtnetlink(7), linux/if_link.h]
 *
 *      0        1   2             4       8       12       16
 *     +--------+---+-------------+-------+-------+--------+---------------
 *     | family | 0 | device type | index | flags | change | attributes …         change: which flags are meant
 *     +--------+---+-------------+-------+-------+--------+---------------
 */
import { Attributes, AttributeWriter } from "./attributes.ts";
import { decodeLinkCounters, encodeLinkCounters, type LinkCounters } from "./link-counters.ts";
import { readVxlanLink, type VxlanLink, writeVxlanLink } from "./vxlan-link.ts";

const HEAD_BYTES = 16;

export const IFF_UP = 0x1;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_GRO_MAX_SIZE = 58;
const IFLA_GSO_IPV4_MAX_SIZE = 63;
const IFLA_GRO_IPV4_MAX_SIZE = 64;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const AF_INET6 = 10;
const IFLA_INET6_ADDR_GEN_MODE = 8;

export interface LinkMessage {
  /** 0: by name, or a new one. */
  readonly index: number;
  readonly flags: number;
  /** Which flags a request changes. */
  readonly change: number;
  readonly name?: string | undefined;
  readonly mtuBytes?: number | undefined;
  /** 6 bytes on Ethernet-like links, none on TUN. */
  readonly macAddress?: Uint8Array | undefined;
  readonly alias?: string | undefined;
  readonly group?: number | undefined;
  readonly gsoMaxBytes?: number | undefined;
  readonly groMaxBytes?: number | undefined;
  readonly gsoIpv4MaxBytes?: number | undefined;
  readonly groIpv4MaxBytes?: number | undefined;
  /** How its IPv6 link-local address is made: 0 from the MAC address, 1 not at all. */
  readonly ipv6AddressMode?: number | undefined;
  /** "vxlan", "veth", "tun"; absent on links of hardware. */
  readonly kind?: string | undefined;
  /** Of kind "vxlan". */
  readonly vxlan?: VxlanLink | undefined;
  /** Only told. */
  readonly counters?: LinkCounters | undefined;
}

export function encodeLinkMessage(link: LinkMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setInt32(4, link.index, true);
  head.setUint32(8, link.flags, true);
  head.setUint32(12, link.change, true);
  const { kind, vxlan, ipv6AddressMode, counters } = link;
  return new AttributeWriter(new Uint8Array(head.buffer))
    .bytes(IFLA_ADDRESS, link.macAddress)
    .text(IFLA_IFNAME, link.name)
    .uint32(IFLA_MTU, link.mtuBytes)
    .text(IFLA_IFALIAS, link.alias)
    .bytes(IFLA_STATS64, counters === undefined ? undefined : encodeLinkCounters(counters))
    .uint32(IFLA_GROUP, link.group)
    .uint32(IFLA_GSO_MAX_SIZE, link.gsoMaxBytes)
    .uint32(IFLA_GRO_MAX_SIZE, link.groMaxBytes)
    .uint32(IFLA_GSO_IPV4_MAX_SIZE, link.gsoIpv4MaxBytes)
    .uint32(IFLA_GRO_IPV4_MAX_SIZE, link.groIpv4MaxBytes)
    .nested(IFLA_AF_SPEC, ipv6AddressMode === undefined ? undefined : writeIpv6(ipv6AddressMode))
    .nested(IFLA_LINKINFO, kind === undefined ? undefined : writeKind(kind, vxlan))
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeLinkMessage(payload: Uint8Array): LinkMessage | null {
  if (payload.length < HEAD_BYTES) return null;
  const attributes = Attributes.parse(payload, HEAD_BYTES);
  if (attributes === null) return null;
  const head = new DataView(payload.buffer, payload.byteOffset, HEAD_BYTES);
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.text(IFLA_INFO_KIND);
  const counters = attributes.bytes(IFLA_STATS64);
  const data = kind === "vxlan" ? info?.nested(IFLA_INFO_DATA) : undefined;
  return {
    index: head.getInt32(4, true),
    flags: head.getUint32(8, true),
    change: head.getUint32(12, true),
    name: attributes.text(IFLA_IFNAME),
    mtuBytes: attributes.uint32(IFLA_MTU),
    macAddress: attributes.bytes(IFLA_ADDRESS),
    alias: attributes.text(IFLA_IFALIAS),
    group: attributes.uint32(IFLA_GROUP),
    gsoMaxBytes: attributes.uint32(IFLA_GSO_MAX_SIZE),
    groMaxBytes: attributes.uint32(IFLA_GRO_MAX_SIZE),
    gsoIpv4MaxBytes: attributes.uint32(IFLA_GSO_IPV4_MAX_SIZE),
    groIpv4MaxBytes: attributes.uint32(IFLA_GRO_IPV4_MAX_SIZE),
    ipv6AddressMode: attributes.nested(IFLA_AF_SPEC)?.nested(AF_INET6)?.uint8(IFLA_INET6_ADDR_GEN_MODE),
    kind,
    vxlan: data === undefined ? undefined : readVxlanLink(data),
    counters: counters === undefined ? undefined : decodeLinkCounters(counters),
  };
}

function writeIpv6(mode: number): (list: AttributeWriter) => void {
  return (families) =>
    families.nested(AF_INET6, (settings) => settings.uint8(IFLA_INET6_ADDR_GEN_MODE, mode));
}

function writeKind(kind: string, vxlan: VxlanLink | undefined): (list: AttributeWriter) => void {
  return (info) =>
    info
      .text(IFLA_INFO_KIND, kind)
      .nested(IFLA_INFO_DATA, vxlan === undefined ? undefined : (data) => writeVxlanLink(vxlan, data));
}
