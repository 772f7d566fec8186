/**
 * The VXLAN device of a node: made, marked, given its address and put up, or not at all. One that the same node left
 * behind is replaced; any other is never touched. [RFC 7348, ip-link(8) "VXLAN Type Support"]
 */
import { VXLAN_DF_SET, type VxlanLink } from "../../wire/netlink/index.ts";
import { macOf } from "../address-plan.ts";
import { CLOSED_TO_OTHERS, disableIpv6 } from "../closed-device.ts";
import type { OverlayEnd } from "../driver.ts";
import { ipBytes, macText } from "../rtnetlink/address-text.ts";
import {
  addAddress,
  createLink,
  deleteLink,
  findLink,
  listLinks,
  type NetlinkSession,
  setLink,
} from "../rtnetlink/index.ts";
import { setFilter } from "./device-filter.ts";
import { frameFilter } from "./frame-filter.ts";
import { DEVICE_GROUP, isOwnDevice } from "./mark.ts";
import { deviceTaken, subnetTaken } from "./refusals.ts";
import { findSubnetClash } from "./subnet-clash.ts";

/** Takes the place of one that this node left behind; its index. Throws OverlayError or NetlinkError; then it is gone. */
export function createDevice(
  session: NetlinkSession,
  end: OverlayEnd,
  alias: string,
  mtuBytes: number,
): number {
  removeDevice(session, end, alias);
  const clash = findSubnetClash(session, end);
  if (clash !== null) throw subnetTaken(end, clash);
  createLink(session, {
    name: end.device,
    kind: "vxlan",
    mtuBytes,
    macAddress: macText(macOf(end.address)),
    group: DEVICE_GROUP,
    vxlan: vxlanOf(end),
  });
  return furnish(session, end, alias);
}

/**
 * Those of this node, whatever their name is by now: they may have been renamed. That there is none is fine; an
 * interface of the device's name that is not this node's is an OverlayError.
 */
export function removeDevice(session: NetlinkSession, end: OverlayEnd, alias: string): void {
  for (const link of listLinks(session))
    if (isOwnDevice(link, alias, end.device)) deleteLink(session, link.index);
  const other = findLink(session, end.device);
  if (other !== null) throw deviceTaken(end, other);
}

/** The one of this node by its name; null: it is not there. */
export function findOwnDevice(session: NetlinkSession, end: OverlayEnd, alias: string): number | null {
  const link = findLink(session, end.device);
  return link !== null && isOwnDevice(link, alias, end.device) ? link.index : null;
}

/** Alias first, so that it can be recognised from then on. It comes up with a filter that drops everything: there are no members yet. */
function furnish(session: NetlinkSession, end: OverlayEnd, alias: string): number {
  const { device, address, prefixLength } = end;
  try {
    setLink(session, device, { alias });
    disableIpv6(session, device);
    const { index } = findLink(session, device)!;
    setLink(session, index, { ipv4Settings: CLOSED_TO_OTHERS });
    setFilter(session, end, index, frameFilter({ address, members: [], relays: null }));
    addAddress(session, { interfaceIndex: index, address, prefixLength });
    setLink(session, index, { isUp: true });
    return index;
  } catch (error) {
    deleteLink(session, device);
    throw error;
  }
}

/**
 * UDP checksums are sent: the receiver's card then checks the inner ones too, which costs less than none. Outer
 * packets are not fragmented, so that path MTU discovery finds what fits.
 */
function vxlanOf({ vni, port, underlayAddress }: OverlayEnd): VxlanLink {
  return {
    vni,
    port,
    localAddress: ipBytes(underlayAddress),
    isLearning: false,
    sendsChecksum: true,
    sendsZeroChecksum6: false,
    takesZeroChecksum6: false,
    dontFragment: VXLAN_DF_SET,
  };
}
