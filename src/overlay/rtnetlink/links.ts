/** Network interfaces: find, make, change, remove. All throw NetlinkError. */
import { ENODEV } from "../../sys/errno.ts";
import {
  decodeLinkMessage,
  encodeLinkMessage,
  IFF_UP,
  type LinkCounters,
  type LinkMessage,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  type VxlanLink,
} from "../../wire/netlink/index.ts";
import { macBytes, macText } from "./address-text.ts";
import { NetlinkError } from "./netlink-error.ts";
import type { NetlinkSession } from "./netlink-session.ts";
import { removeObject } from "./remove-object.ts";

/** IN6_ADDR_GEN_MODE_NONE */
const NO_ADDRESS = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  readonly mtuBytes: number;
  /** "02:42:0a:d2:00:01"; "" on links that have none. */
  readonly macAddress: string;
  /** "" without. */
  readonly alias: string;
  readonly group: number;
  /** Index of the bridge or VRF it is a port of; 0: of none. */
  readonly master: number;
  /** "vxlan", "tun"; "" on links of hardware. */
  readonly kind: string;
  /** Of kind "vxlan", else null. */
  readonly vxlan: VxlanLink | null;
  /** Largest super-packets for IPv4 to send and of received segments; 0 when the kernel does not report them. */
  readonly gsoMaxBytes: number;
  readonly groMaxBytes: number;
  /** net.ipv4.conf.<name>.…, by IPV4_DEVCONF_…; empty when the kernel does not report them. */
  readonly ipv4Settings: ReadonlyMap<number, number>;
  /** It makes IPv6 link-local addresses; null where IPv6 is off. */
  readonly hasIpv6LinkLocal: boolean | null;
  /** Since it was made; null when the kernel does not report them. */
  readonly counters: LinkCounters | null;
}

/** What is absent stays as it is. */
export interface LinkChange {
  readonly mtuBytes?: number;
  readonly isUp?: boolean;
  readonly macAddress?: string;
  /** "" takes it away. */
  readonly alias?: string;
  readonly group?: number;
  readonly name?: string;
  /** 0: detached. */
  readonly master?: number;
  readonly gsoMaxBytes?: number;
  readonly groMaxBytes?: number;
  /** false: no link-local address and no router solicitations of its own, from when it is set up next. */
  readonly hasIpv6LinkLocal?: boolean;
  /** By IPV4_DEVCONF_…; the kernel takes them without /proc/sys, which containers cannot write to. */
  readonly ipv4Settings?: ReadonlyMap<number, number>;
}

/** Alias and settings of IPv4 and IPv6 can only be changed on a link that is there, before it is up. */
export interface NewLink extends Omit<LinkChange, "alias" | "hasIpv6LinkLocal" | "ipv4Settings"> {
  readonly name: string;
  readonly kind: string;
  readonly vxlan?: VxlanLink;
}

export function listLinks(session: NetlinkSession): Link[] {
  const all = { index: 0, flags: 0, change: 0 };
  return session
    .dump("list links", RTM_GETLINK, encodeLinkMessage(all))
    .flatMap((payload) => readLink(payload) ?? []);
}

/** By name or index; null: there is none. */
export function findLink(session: NetlinkSession, which: string | number): Link | null {
  const request = encodeLinkMessage({ ...addressed(which), flags: 0, change: 0 });
  try {
    return readLink(session.get(`find link ${which}`, RTM_GETLINK, request));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** EEXIST: the name is taken, or another device has what there can be only one of. */
export function createLink(session: NetlinkSession, link: NewLink): void {
  const { name, kind, vxlan } = link;
  const request = encodeLinkMessage({ ...settings(link), name, kind, vxlan });
  session.change(`create link ${name}`, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, request);
}

export function setLink(session: NetlinkSession, which: string | number, change: LinkChange): void {
  const request = encodeLinkMessage({ ...settings(change), ...addressed(which) });
  session.change(`change link ${which}`, RTM_NEWLINK, 0, request);
}

/** One that is gone is fine. */
export function deleteLink(session: NetlinkSession, which: string | number): void {
  const request = encodeLinkMessage({ ...addressed(which), flags: 0, change: 0 });
  removeObject(session, `delete link ${which}`, RTM_DELLINK, request, ENODEV);
}

function settings(change: LinkChange): LinkMessage {
  const { name, mtuBytes, isUp, macAddress, alias, group, master, gsoMaxBytes, groMaxBytes } = change;
  const { hasIpv6LinkLocal, ipv4Settings } = change;
  return {
    index: 0,
    flags: isUp === true ? IFF_UP : 0,
    change: isUp === undefined ? 0 : IFF_UP,
    mtuBytes,
    macAddress: macAddress === undefined ? undefined : macBytes(macAddress),
    alias,
    group,
    name,
    master,
    gsoMaxBytes,
    groMaxBytes,
    gsoIpv4MaxBytes: gsoMaxBytes,
    groIpv4MaxBytes: groMaxBytes,
    ipv6AddressMode: hasIpv6LinkLocal === undefined ? undefined : hasIpv6LinkLocal ? 0 : NO_ADDRESS,
    newIpv4Settings: ipv4Settings,
  };
}

function addressed(which: string | number): { index: number; name?: string } {
  return typeof which === "number" ? { index: which } : { index: 0, name: which };
}

function isGone(error: unknown): boolean {
  return error instanceof NetlinkError && error.errnoValue === ENODEV;
}

function readLink(payload: Uint8Array): Link | null {
  const message = decodeLinkMessage(payload);
  if (message === null) return null;
  return {
    index: message.index,
    name: message.name ?? "",
    isUp: (message.flags & IFF_UP) !== 0,
    mtuBytes: message.mtuBytes ?? 0,
    macAddress: macText(message.macAddress ?? new Uint8Array(0)),
    alias: message.alias ?? "",
    group: message.group ?? 0,
    master: message.master ?? 0,
    kind: message.kind ?? "",
    vxlan: message.vxlan ?? null,
    gsoMaxBytes: message.gsoIpv4MaxBytes ?? message.gsoMaxBytes ?? 0,
    groMaxBytes: message.groIpv4MaxBytes ?? message.groMaxBytes ?? 0,
    ipv4Settings: new Map((message.ipv4Settings ?? []).map((value, index) => [index + 1, value])),
    hasIpv6LinkLocal: message.ipv6AddressMode === undefined ? null : message.ipv6AddressMode !== NO_ADDRESS,
    counters: message.counters ?? null,
  };
}
