/** Addresses of interfaces. All throw NetlinkError. */
import { EADDRNOTAVAIL } from "../../sys/errno.ts";
import { AF_INET } from "../../sys/sockaddr.ts";
import {
  type AddressMessage,
  decodeAddressMessage,
  encodeAddressMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "../../wire/netlink/index.ts";
import { familyOf, ipBytes, ipText } from "./address-text.ts";
import type { NetlinkSession } from "./netlink-session.ts";
import { removeObject } from "./remove-object.ts";

export interface InterfaceAddress {
  readonly interfaceIndex: number;
  readonly address: string;
  readonly prefixLength: number;
}

/** Of one interface, or of all. */
export function listAddresses(session: NetlinkSession, interfaceIndex = 0): InterfaceAddress[] {
  const request = encodeAddressMessage({ family: 0, prefixLength: 0, scope: 0, interfaceIndex });
  return session
    .dump("list addresses", RTM_GETADDR, request)
    .flatMap((payload) => readAddress(payload) ?? [])
    .filter((entry) => interfaceIndex === 0 || entry.interfaceIndex === interfaceIndex);
}

/** With a route to its prefix. One that is there already is fine. */
export function addAddress(session: NetlinkSession, address: InterfaceAddress): void {
  const what = `add address ${address.address}/${address.prefixLength}`;
  session.change(what, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, encodeAddressMessage(message(address)));
}

/** One that is gone is fine. */
export function removeAddress(session: NetlinkSession, address: InterfaceAddress): void {
  const what = `remove address ${address.address}/${address.prefixLength}`;
  removeObject(session, what, RTM_DELADDR, encodeAddressMessage(message(address)), EADDRNOTAVAIL);
}

function message({ address, prefixLength, interfaceIndex }: InterfaceAddress): AddressMessage {
  const bytes = ipBytes(address);
  const family = familyOf(bytes);
  const local = family === AF_INET ? bytes : undefined;
  return { family, prefixLength, scope: RT_SCOPE_UNIVERSE, interfaceIndex, address: bytes, local };
}

function readAddress(payload: Uint8Array): InterfaceAddress | null {
  const message = decodeAddressMessage(payload);
  const address = ipText(message?.local ?? message?.address);
  if (message === null || address === undefined) return null;
  const { interfaceIndex, prefixLength } = message;
  return { interfaceIndex, address, prefixLength };
}
