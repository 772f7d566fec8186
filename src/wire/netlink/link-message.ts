/**
 * RTM_NEWLINK and its kin: network interfaces. Host order. [rtnetlink(7), linux/if_link.h]
 *
 *      0        1   2             4       8       12       16
 *     +--------+---+-------------+-------+-------+--------+---------------
 *     | family | 0 | device type | index | flags | change | attributes …         change: which flags are meant
 *     +--------+---+-------------+-------+-------+--------+---------------
 */
import { AttributeWriter, splitMessage } from "./attributes.ts";
import { decodeLinkCounters, encodeLinkCounters, type LinkCounters } from "./link-counters.ts";
import { readVxlanLink, type VxlanLink, writeVxlanLink } from "./vxlan-link.ts";

const HEAD_BYTES = 16;

export const IFF_UP = 0x1;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
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
const AF_INET = 2;
const AF_INET6 = 10;
const IFLA_INET_CONF = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;

/** net.ipv4.conf.<device>.… [linux/ip.h] */
export const IPV4_DEVCONF_FORWARDING = 1;
export const IPV4_DEVCONF_ACCEPT_REDIRECTS = 4;
export const IPV4_DEVCONF_RP_FILTER = 8;
export const IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE = 9;
export const IPV4_DEVCONF_ACCEPT_LOCAL = 21;
export const IPV4_DEVCONF_ROUTE_LOCALNET = 26;

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
  /** Index of the bridge or VRF it is a port of; 0 in a request: of none. */
  readonly master?: number | undefined;
  readonly group?: number | undefined;
  readonly gsoMaxBytes?: number | undefined;
  readonly groMaxBytes?: number | undefined;
  readonly gsoIpv4MaxBytes?: number | undefined;
  readonly groIpv4MaxBytes?: number | undefined;
  /** How its IPv6 link-local address is made: 0 from the MAC address, 1 not at all. */
  readonly ipv6AddressMode?: number | undefined;
  /** Settings for IPv4 to change, by IPV4_DEVCONF_…. Only asked for. */
  readonly newIpv4Settings?: ReadonlyMap<number, number> | undefined;
  /** All of them from number 1. Only in replies. */
  readonly ipv4Settings?: readonly number[] | undefined;
  /** "vxlan", "veth", "tun"; absent on links of hardware. */
  readonly kind?: string | undefined;
  /** Of kind "vxlan". */
  readonly vxlan?: VxlanLink | undefined;
  /** Only in replies. */
  readonly counters?: LinkCounters | undefined;
}

export function encodeLinkMessage(link: LinkMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setInt32(4, link.index, true);
  head.setUint32(8, link.flags, true);
  head.setUint32(12, link.change, true);
  const { kind, vxlan, counters } = link;
  return new AttributeWriter(new Uint8Array(head.buffer))
    .bytes(IFLA_ADDRESS, link.macAddress)
    .text(IFLA_IFNAME, link.name)
    .uint32(IFLA_MTU, link.mtuBytes)
    .uint32(IFLA_MASTER, link.master)
    .text(IFLA_IFALIAS, link.alias)
    .bytes(IFLA_STATS64, counters === undefined ? undefined : encodeLinkCounters(counters))
    .uint32(IFLA_GROUP, link.group)
    .uint32(IFLA_GSO_MAX_SIZE, link.gsoMaxBytes)
    .uint32(IFLA_GRO_MAX_SIZE, link.groMaxBytes)
    .uint32(IFLA_GSO_IPV4_MAX_SIZE, link.gsoIpv4MaxBytes)
    .uint32(IFLA_GRO_IPV4_MAX_SIZE, link.groIpv4MaxBytes)
    .nested(IFLA_AF_SPEC, hasFamilies(link) ? (families) => writeFamilies(link, families) : undefined)
    .nested(IFLA_LINKINFO, kind === undefined ? undefined : writeKind(kind, vxlan))
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeLinkMessage(payload: Uint8Array): LinkMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.text(IFLA_INFO_KIND);
  const counters = attributes.bytes(IFLA_STATS64);
  const families = attributes.nested(IFLA_AF_SPEC);
  const data = kind === "vxlan" ? info?.nested(IFLA_INFO_DATA) : undefined;
  return {
    index: head.getInt32(4, true),
    flags: head.getUint32(8, true),
    change: head.getUint32(12, true),
    name: attributes.text(IFLA_IFNAME),
    mtuBytes: attributes.uint32(IFLA_MTU),
    macAddress: attributes.bytes(IFLA_ADDRESS),
    master: attributes.uint32(IFLA_MASTER),
    alias: attributes.text(IFLA_IFALIAS),
    group: attributes.uint32(IFLA_GROUP),
    gsoMaxBytes: attributes.uint32(IFLA_GSO_MAX_SIZE),
    groMaxBytes: attributes.uint32(IFLA_GRO_MAX_SIZE),
    gsoIpv4MaxBytes: attributes.uint32(IFLA_GSO_IPV4_MAX_SIZE),
    groIpv4MaxBytes: attributes.uint32(IFLA_GRO_IPV4_MAX_SIZE),
    ipv6AddressMode: families?.nested(AF_INET6)?.uint8(IFLA_INET6_ADDR_GEN_MODE),
    ipv4Settings: readIpv4(families?.nested(AF_INET)?.bytes(IFLA_INET_CONF)),
    kind,
    vxlan: data === undefined ? undefined : readVxlanLink(data),
    counters: counters === undefined ? undefined : decodeLinkCounters(counters),
  };
}

function hasFamilies({ newIpv4Settings, ipv4Settings, ipv6AddressMode }: LinkMessage): boolean {
  return newIpv4Settings !== undefined || ipv4Settings !== undefined || ipv6AddressMode !== undefined;
}

function writeFamilies(link: LinkMessage, families: AttributeWriter): void {
  const { newIpv4Settings, ipv4Settings, ipv6AddressMode } = link;
  const write = (list: AttributeWriter, settings: Iterable<readonly [number, number]>) => {
    for (const [setting, value] of settings) list.uint32(setting, value);
  };
  if (newIpv4Settings !== undefined)
    families.nested(AF_INET, (family) =>
      family.nested(IFLA_INET_CONF, (list) => write(list, newIpv4Settings)),
    );
  else if (ipv4Settings !== undefined)
    families.nested(AF_INET, (family) => family.bytes(IFLA_INET_CONF, arrayOf(ipv4Settings)));
  if (ipv6AddressMode !== undefined)
    families.nested(AF_INET6, (family) => family.uint8(IFLA_INET6_ADDR_GEN_MODE, ipv6AddressMode));
}

function arrayOf(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  for (const [index, value] of values.entries()) view.setInt32(4 * index, value, true);
  return new Uint8Array(view.buffer);
}

function readIpv4(bytes: Uint8Array | undefined): readonly number[] | undefined {
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length >> 2 }, (_, index) => view.getInt32(4 * index, true));
}

function writeKind(kind: string, vxlan: VxlanLink | undefined): (list: AttributeWriter) => void {
  return (info) =>
    info
      .text(IFLA_INFO_KIND, kind)
      .nested(IFLA_INFO_DATA, vxlan === undefined ? undefined : (data) => writeVxlanLink(vxlan, data));
}
