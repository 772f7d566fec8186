/** Routes, and which of them an address takes. All throw NetlinkError. */
import { ENODEV, ESRCH } from "../../sys/errno.ts";
import { AF_INET } from "../../sys/sockaddr.ts";
import {
  decodeRouteMessage,
  encodeRouteMessage,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type RouteMessage,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_F_LOOKUP_TABLE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
} from "../../wire/netlink/index.ts";
import { familyOf, ipBytes, ipText } from "./address-text.ts";
import { findLink } from "./links.ts";
import { NetlinkError } from "./netlink-error.ts";
import type { NetlinkSession } from "./netlink-session.ts";
import { removeObject } from "./remove-object.ts";

/** RTPROT_STATIC: an administrator's. */
const PROTOCOL_STATIC = 4;

/** Without what is absent, in the main table. */
export interface Route {
  /** Address of the prefix; "0.0.0.0" or "::" of length 0 is the default route. */
  readonly destination: string;
  readonly prefixLength: number;
  readonly interfaceIndex: number;
  readonly gateway?: string;
  readonly preferredSource?: string;
  readonly mtuBytes?: number;
  /** Path MTU discovery does not change it. */
  readonly isMtuLocked?: boolean;
  readonly advertisedMssBytes?: number;
}

/** One of the kernel's tables. */
export interface ListedRoute extends Route {
  readonly table: number;
  /** Who made it, RTPROT_…. */
  readonly protocol: number;
  /** RTN_UNICAST, RTN_LOCAL, …. */
  readonly type: number;
  /** RT_SCOPE_LINK: straight over the interface; RT_SCOPE_UNIVERSE: over a gateway. */
  readonly scope: number;
  /** Of several to one prefix the lowest is used. */
  readonly priority: number;
}

export interface RouteTo {
  readonly interfaceIndex: number;
  /** What packets to the address come from. */
  readonly source: string | null;
  readonly gateway: string | null;
  /** That the route is of. */
  readonly table: number;
  /** Of the route, or what path MTU discovery found, or else of the link. */
  readonly mtuBytes: number;
}

/** All tables of a family; `interfaceIndex` 0: over all interfaces. */
export function listRoutes(session: NetlinkSession, family: number, interfaceIndex = 0): ListedRoute[] {
  const outputInterface = interfaceIndex === 0 ? undefined : interfaceIndex;
  const request = encodeRouteMessage({ ...EMPTY, family, table: 0, type: 0, outputInterface });
  return session
    .dump("list routes", RTM_GETROUTE, request)
    .flatMap((payload) => readRoute(payload) ?? [])
    .filter((route) => interfaceIndex === 0 || route.interfaceIndex === interfaceIndex);
}

/** EEXIST: there is one to the same prefix, whose ever. */
export function addRoute(session: NetlinkSession, route: Route, protocol = PROTOCOL_STATIC): void {
  const request = encodeRouteMessage(message(route, protocol));
  session.change(`add ${name(route)}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, request);
}

/** Takes the place of a route to the same prefix, whose ever it is. */
export function replaceRoute(session: NetlinkSession, route: Route, protocol = PROTOCOL_STATIC): void {
  const request = encodeRouteMessage(message(route, protocol));
  session.change(`replace ${name(route)}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, request);
}

/** Only the one over this interface; one that is gone is fine. */
export function removeRoute(session: NetlinkSession, route: Route): void {
  const { destination, prefixLength, interfaceIndex } = route;
  const bytes = ipBytes(destination);
  const request = encodeRouteMessage({
    ...EMPTY,
    family: familyOf(bytes),
    destination: bytes,
    destinationLength: prefixLength,
    outputInterface: interfaceIndex,
    scope: RT_SCOPE_NOWHERE,
  });
  removeObject(session, `remove ${name(route)}`, RTM_DELROUTE, request, ESRCH);
}

/** Which way packets to an address go now, those from `source` where it is given. ENETUNREACH and others: none. */
export function findRouteTo(session: NetlinkSession, address: string, source?: string): RouteTo {
  const destination = ipBytes(address);
  const request = encodeRouteMessage({
    ...EMPTY,
    family: familyOf(destination),
    destination,
    destinationLength: destination.length * 8,
    source: source === undefined ? undefined : ipBytes(source),
    table: 0,
    type: 0,
    // of IPv6 the kernel takes no such question
    flags: destination.length === 4 ? RTM_F_LOOKUP_TABLE : 0,
  });
  const what = `find the route to ${address}`;
  const answer = decodeRouteMessage(session.get(what, RTM_GETROUTE, request));
  const interfaceIndex = answer?.outputInterface;
  const link = interfaceIndex === undefined ? null : findLink(session, interfaceIndex);
  if (link === null) throw new NetlinkError(what, ENODEV, "it has no interface");
  const linkMtuBytes = link.mtuBytes;
  return {
    interfaceIndex: link.index,
    source: ipText(answer?.preferredSource) ?? null,
    gateway: ipText(answer?.gateway) ?? null,
    table: answer?.table ?? 0,
    mtuBytes: Math.min(answer?.mtuBytes || linkMtuBytes, linkMtuBytes),
  };
}

/** Matches every scope when a route is removed. */
const RT_SCOPE_NOWHERE = 255;

const EMPTY: RouteMessage = {
  family: AF_INET,
  destinationLength: 0,
  table: RT_TABLE_MAIN,
  protocol: 0,
  scope: RT_SCOPE_UNIVERSE,
  type: RTN_UNICAST,
  flags: 0,
};

function message(route: Route, protocol: number): RouteMessage {
  const destination = ipBytes(route.destination);
  const { gateway, preferredSource } = route;
  return {
    ...EMPTY,
    family: familyOf(destination),
    destination,
    destinationLength: route.prefixLength,
    protocol,
    scope: gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    outputInterface: route.interfaceIndex,
    gateway: gateway === undefined ? undefined : ipBytes(gateway),
    preferredSource: preferredSource === undefined ? undefined : ipBytes(preferredSource),
    mtuBytes: route.mtuBytes,
    isMtuLocked: route.isMtuLocked,
    advertisedMssBytes: route.advertisedMssBytes,
  };
}

function name({ destination, prefixLength }: Route): string {
  return `route ${destination}/${prefixLength}`;
}

function readRoute(payload: Uint8Array): ListedRoute | null {
  const message = decodeRouteMessage(payload);
  if (message === null || (message.flags & RTM_F_CLONED) !== 0) return null;
  const { table, protocol, type, scope, mtuBytes, isMtuLocked, advertisedMssBytes } = message;
  const gateway = ipText(message.gateway);
  const preferredSource = ipText(message.preferredSource);
  return {
    destination: ipText(message.destination) ?? (message.family === AF_INET ? "0.0.0.0" : "::"),
    prefixLength: message.destinationLength,
    interfaceIndex: message.outputInterface ?? 0,
    table,
    protocol,
    type,
    scope,
    priority: message.priority ?? 0,
    ...(gateway !== undefined && { gateway }),
    ...(preferredSource !== undefined && { preferredSource }),
    ...(mtuBytes !== undefined && { mtuBytes }),
    ...(isMtuLocked !== undefined && { isMtuLocked }),
    ...(advertisedMssBytes !== undefined && { advertisedMssBytes }),
  };
}
