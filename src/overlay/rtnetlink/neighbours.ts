/** Neighbours: which MAC address has an IP address on an interface. All throw NetlinkError. */
import { ENOENT } from "../../sys/errno.ts";
import { AF_INET } from "../../sys/sockaddr.ts";
import {
  decodeNeighbourMessage,
  encodeNeighbourMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../../wire/netlink/index.ts";
import { familyOf, ipBytes, ipText, macBytes, macText } from "./address-text.ts";
import type { NetlinkSession } from "./netlink-session.ts";
import { removeObject } from "./remove-object.ts";

/** One that stays until it is removed. */
export interface Neighbour {
  readonly interfaceIndex: number;
  readonly address: string;
  readonly macAddress: string;
}

/** The permanent ones of an interface, of IPv4. */
export function listNeighbours(session: NetlinkSession, interfaceIndex: number): Neighbour[] {
  const request = encodeNeighbourMessage({ family: AF_INET, interfaceIndex: 0, state: 0, flags: 0 });
  return session
    .dump("list neighbours", RTM_GETNEIGH, request)
    .flatMap((payload) => readNeighbour(payload) ?? [])
    .filter((neighbour) => neighbour.interfaceIndex === interfaceIndex);
}

export function replaceNeighbour(session: NetlinkSession, neighbour: Neighbour): void {
  const destination = ipBytes(neighbour.address);
  const request = encodeNeighbourMessage({
    family: familyOf(destination),
    interfaceIndex: neighbour.interfaceIndex,
    state: NUD_PERMANENT,
    flags: 0,
    destination,
    macAddress: macBytes(neighbour.macAddress),
  });
  const what = `set neighbour ${neighbour.address}`;
  session.change(what, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, request);
}

/** One that is gone is fine. */
export function removeNeighbour(
  session: NetlinkSession,
  { interfaceIndex, address }: Pick<Neighbour, "interfaceIndex" | "address">,
): void {
  const destination = ipBytes(address);
  const family = familyOf(destination);
  const request = encodeNeighbourMessage({ family, interfaceIndex, state: 0, flags: 0, destination });
  removeObject(session, `remove neighbour ${address}`, RTM_DELNEIGH, request, ENOENT);
}

function readNeighbour(payload: Uint8Array): Neighbour | null {
  const message = decodeNeighbourMessage(payload);
  const address = ipText(message?.destination);
  if (message === null || address === undefined || message.macAddress === undefined) return null;
  if ((message.state & NUD_PERMANENT) === 0) return null;
  return { interfaceIndex: message.interfaceIndex, address, macAddress: macText(message.macAddress) };
}
