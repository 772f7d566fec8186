/**
 * Which of the kernel's notifications a socket receives: a program of classic BPF over struct nlmsghdr and what follows
 * it. A routing daemon may announce thousands of routes a second; those that have nothing to do with one interface are
 * dropped in the kernel, without a wake-up. [linux/netlink.h, linux/rtnetlink.h]
 *
 * Links, addresses, neighbours and filters have the index of their interface at the same place: four bytes behind the
 * header. Routes and settings for IPv4 have it in an attribute.
 */
import { ProgramWriter } from "../classic-bpf.ts";
import { RTM_DELROUTE, RTM_DELRULE, RTM_NEWNETCONF, RTM_NEWROUTE, RTM_NEWRULE } from "./message.ts";

export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_TC = 4;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV4_RULE = 8;
export const RTNLGRP_IPV4_NETCONF = 24;

/** Low byte of the type, which is in host order. */
const TYPE_AT = 4;
const INDEX_AT = 20;
/** The first attribute of struct netconfmsg. */
const SETTINGS_INDEX_AT = 24;
const ROUTE_ATTRIBUTES_AT = 28;
const RTA_DST = 1;
const RTA_OIF = 4;
const ALL_BYTES = 0xffff_ffff;

export interface EventFilter {
  /** Notifications about this interface pass; 0: there is none. */
  readonly interfaceIndex: number;
  /** So do those about IPv4 routes into this network. 4 bytes. */
  readonly network: Uint8Array;
  readonly prefixLength: number;
}

/** A program for SO_ATTACH_FILTER. Routing rules always pass: they are few. */
export function encodeEventFilter({ interfaceIndex, network, prefixLength }: EventFilter): Uint8Array {
  const index = swapped(interfaceIndex);
  const mask = prefixLength === 0 ? 0 : (ALL_BYTES << (32 - prefixLength)) >>> 0;
  const prefix = (new DataView(network.buffer, network.byteOffset, 4).getUint32(0) & mask) >>> 0;
  return new ProgramWriter()
    .loadByte(TYPE_AT)
    .ifEqual(RTM_NEWRULE, "pass")
    .ifEqual(RTM_DELRULE, "pass")
    .ifEqual(RTM_NEWROUTE, "route")
    .ifEqual(RTM_DELROUTE, "route")
    .ifEqual(RTM_NEWNETCONF, "settings")
    .loadWord(INDEX_AT)
    .ifEqual(index, "pass")
    .goTo("drop")
    .label("settings")
    .loadWord(SETTINGS_INDEX_AT)
    .ifEqual(index, "pass")
    .goTo("drop")
    .label("route")
    .loadAttribute(RTA_OIF, ROUTE_ATTRIBUTES_AT, "destination")
    .ifEqual(index, "pass")
    .label("destination")
    .loadAttribute(RTA_DST, ROUTE_ATTRIBUTES_AT, "drop")
    .and(mask)
    .ifEqual(prefix, "pass")
    .label("drop")
    .return(0)
    .label("pass")
    .return(ALL_BYTES)
    .finish();
}

/** BPF loads words in network order; what the kernel writes of itself is in host order, which is the other one. */
function swapped(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return view.getUint32(0);
}
