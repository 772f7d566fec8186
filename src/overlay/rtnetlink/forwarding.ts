/** Forwarding entries of a VXLAN device: to which VTEP frames for a MAC address go. All throw NetlinkError. */
import { ENOENT } from "../../sys/errno.ts";
import {
  AF_BRIDGE,
  decodeNeighbourMessage,
  encodeNeighbourMessage,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWNEIGH,
} from "../../wire/netlink/index.ts";
import { ipBytes, ipText, macBytes, macText } from "./address-text.ts";
import type { NetlinkSession } from "./netlink-session.ts";
import { removeObject } from "./remove-object.ts";

export interface ForwardingEntry {
  readonly interfaceIndex: number;
  readonly macAddress: string;
  /** Underlay address of the VTEP. */
  readonly destination: string;
  /** UDP port of the VTEP; absent: the device's. */
  readonly port?: number;
}

/** Those of one device. The kernel leaves the port out where it is the device's. */
export function listForwarding(session: NetlinkSession, interfaceIndex: number): ForwardingEntry[] {
  const request = encodeNeighbourMessage({ family: AF_BRIDGE, interfaceIndex, state: 0, flags: 0 });
  return session
    .dump("list forwarding entries", RTM_GETNEIGH, request)
    .flatMap((payload) => readEntry(payload) ?? [])
    .filter((entry) => entry.interfaceIndex === interfaceIndex);
}

/** Takes the place of where frames for the MAC address went before. */
export function replaceForwarding(session: NetlinkSession, entry: ForwardingEntry): void {
  const request = encodeNeighbourMessage({
    family: AF_BRIDGE,
    interfaceIndex: entry.interfaceIndex,
    state: NUD_PERMANENT | NUD_NOARP,
    flags: NTF_SELF,
    destination: ipBytes(entry.destination),
    macAddress: macBytes(entry.macAddress),
    port: entry.port,
  });
  const what = `set forwarding entry ${entry.macAddress}`;
  session.change(what, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, request);
}

/** All ways for the MAC address; one that is gone is fine. */
export function removeForwarding(
  session: NetlinkSession,
  { interfaceIndex, macAddress }: Pick<ForwardingEntry, "interfaceIndex" | "macAddress">,
): void {
  const request = encodeNeighbourMessage({
    family: AF_BRIDGE,
    interfaceIndex,
    state: 0,
    flags: NTF_SELF,
    macAddress: macBytes(macAddress),
  });
  removeObject(session, `remove forwarding entry ${macAddress}`, RTM_DELNEIGH, request, ENOENT);
}

function readEntry(payload: Uint8Array): ForwardingEntry | null {
  const message = decodeNeighbourMessage(payload);
  const destination = ipText(message?.destination);
  if (message === null || destination === undefined || message.macAddress === undefined) return null;
  const { interfaceIndex, port } = message;
  const macAddress = macText(message.macAddress);
  return { interfaceIndex, macAddress, destination, ...(port !== undefined && { port }) };
}
