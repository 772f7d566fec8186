/**
 * What is wrong with this node's end of the overlay, as the machine has it now: the device, its address, which way
 * packets to other overlay addresses take. It only reads; what a driver repairs by itself may be over a moment later.
 */
import { parsePrefix } from "../wire/index.ts";
import { macOf } from "./address-plan.ts";
import type { OverlayEnd, OverlayPeer } from "./driver.ts";
import { aliasOf } from "./kernel/mark.ts";
import { macText } from "./rtnetlink/address-text.ts";
import {
  findLink,
  findRouteTo,
  type Link,
  listAddresses,
  listForwarding,
  listLinks,
  listRules,
  NetlinkError,
  NetlinkSession,
  type Rule,
} from "./rtnetlink/index.ts";

/** Of the table main. Rules before it can lead packets elsewhere. */
const MAIN_PRIORITY = 32_766;
/** What is wrong with one of them is wrong with most. */
const MAX_ROUTES = 64;
const MAX_NAMES = 3;

export interface EndProblem {
  /** "portmesh4789 is down" */
  readonly message: string;
  /** What to do. */
  readonly fix: string;
}

export type InspectedPeer = Pick<OverlayPeer, "name" | "overlayAddress">;

/** Never throws: unreadable state is not reported. @param owner "<cluster>/<node>": the owner of the device */
export function inspectEnd(end: OverlayEnd, owner: string, peers: readonly InspectedPeer[]): EndProblem[] {
  let session: NetlinkSession | null = null;
  try {
    session = NetlinkSession.open();
    return inspect(session, end, aliasOf(owner), peers);
  } catch (error) {
    if (error instanceof NetlinkError) return [];
    throw error;
  } finally {
    session?.close();
  }
}

function inspect(
  session: NetlinkSession,
  end: OverlayEnd,
  alias: string,
  peers: readonly InspectedPeer[],
): EndProblem[] {
  const link = findLink(session, end.device);
  if (link === null || link.alias !== alias) return [missing(session, end, alias, link)];
  const ofDevice = [...inspectDevice(session, end, link), ...inspectForwarding(session, link, peers)];
  return ofDevice.length > 0 ? ofDevice : inspectRoutes(session, end, link, peers);
}

/** @param other what has its name now; null: nothing */
function missing(
  session: NetlinkSession,
  { device }: OverlayEnd,
  alias: string,
  other: Link | null,
): EndProblem {
  const renamed = listLinks(session).find((link) => link.alias === alias);
  const taken =
    other === null ? "" : `, and another ${other.kind === "" ? "" : `${other.kind} `}interface has its name`;
  if (renamed !== undefined)
    return {
      message: `device ${device} was renamed to ${renamed.name}${taken}`,
      fix: `ip link set ${renamed.name} down; ip link set ${renamed.name} name ${device}; ip link set ${device} up`,
    };
  if (other !== null)
    return {
      message: `${device} is not this node's: another ${other.kind} interface has that name`,
      fix: `remove it (ip link delete ${device}), or set another overlay.port on this node: the device name contains the port`,
    };
  return {
    message: `device ${device} was removed`,
    fix: "portmesh creates it again within seconds; find out what removes it (systemd-networkd, NetworkManager, a script)",
  };
}

function inspectDevice(session: NetlinkSession, end: OverlayEnd, link: Link): EndProblem[] {
  const { device, address, prefixLength } = end;
  const isThere = listAddresses(session, link.index).some(
    (entry) => entry.address === address && entry.prefixLength === prefixLength,
  );
  return [
    ...(link.isUp ? [] : [{ message: `${device} is down`, fix: `ip link set ${device} up; ${LEAVE_ALONE}` }]),
    ...(isThere
      ? []
      : [
          {
            message: `${device} has lost its address ${address}/${prefixLength}`,
            fix: `ip address add ${address}/${prefixLength} dev ${device}; ${LEAVE_ALONE}`,
          },
        ]),
  ];
}

const LEAVE_ALONE =
  "exclude this interface from the machine's network configuration (systemd-networkd: Unmanaged=yes)";

function inspectForwarding(
  session: NetlinkSession,
  { kind, index, name }: Link,
  peers: readonly InspectedPeer[],
): EndProblem[] {
  if (kind !== "vxlan") return [];
  const present = new Set(listForwarding(session, index).map(({ macAddress }) => macAddress));
  const lost = peers.filter(({ overlayAddress }) => !present.has(macText(macOf(overlayAddress))));
  if (lost.length === 0) return [];
  return [
    {
      message: `${name} has lost the forwarding entries of ${namesOf(lost)}`,
      fix: `find out what changes its entries (bridge fdb); ${LEAVE_ALONE}`,
    },
  ];
}

function inspectRoutes(
  session: NetlinkSession,
  end: OverlayEnd,
  link: Link,
  peers: readonly InspectedPeer[],
): EndProblem[] {
  const lost = new Map<string, { readonly peer: InspectedPeer; readonly table: number }[]>();
  for (const peer of peers.slice(0, MAX_ROUTES)) {
    const way = wayTo(session, peer.overlayAddress);
    if (way.interfaceIndex === link.index) continue;
    const others = lost.get(way.text) ?? [];
    lost.set(way.text, [...others, { peer, table: way.table }]);
  }
  const rules = lost.size === 0 ? [] : listRules(session);
  return [...lost].map(([text, found]) => {
    const { peer, table } = found[0]!;
    const names = namesOf(found.map((each) => each.peer));
    return misrouted(
      end,
      `packets to ${names} (${peer.overlayAddress})${text}`,
      culprit(rules, end, peer, table),
    );
  });
}

function wayTo(
  session: NetlinkSession,
  address: string,
): { readonly interfaceIndex: number; readonly text: string; readonly table: number } {
  try {
    const { interfaceIndex, table } = findRouteTo(session, address);
    const name = findLink(session, interfaceIndex)?.name ?? "another interface";
    return { interfaceIndex, table, text: ` go over ${name}` };
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return { interfaceIndex: 0, table: 0, text: " have no route" };
  }
}

function misrouted(
  { device, address, prefixLength }: OverlayEnd,
  what: string,
  rule: Rule | null,
): EndProblem {
  const subnet = `${address}/${prefixLength}`;
  if (rule === null)
    return {
      message: `${what}, not over ${device}: its routes are gone`,
      fix: `find out what removes routes of the subnet of ${subnet}; ${LEAVE_ALONE}`,
    };
  const { priority, table } = rule;
  const does = table === 0 ? "drops or rejects them" : `looks up table ${table} before main`;
  return {
    message: `${what}, not over ${device}: the policy routing rule with priority ${priority} ${does}`,
    fix:
      `ip rule add priority ${Math.max(priority - 1, 1)} to ${networkText(subnet)} lookup main; ` +
      `or remove that rule (ip rule del priority ${priority})`,
  };
}

/** The rule that leads these packets elsewhere: of the table that was used, or the first that is for them. */
function culprit(rules: readonly Rule[], end: OverlayEnd, peer: InspectedPeer, table: number): Rule | null {
  const candidates = rules.filter(
    (rule) =>
      rule.priority > 0 &&
      rule.priority < MAIN_PRIORITY &&
      !rule.isLimited &&
      !rule.isInverted &&
      covers(rule.destination, peer.overlayAddress) &&
      covers(rule.source, end.address),
  );
  return candidates.find((rule) => rule.table === table) ?? candidates[0] ?? null;
}

function covers(prefix: string | null, address: string): boolean {
  if (prefix === null) return true;
  const length = prefix.split("/")[1]!;
  return networkText(`${address}/${length}`) === networkText(prefix);
}

/** "10.200.0.0/16" of "10.200.3.7/16" */
function networkText(prefix: string): string {
  const { network, lengthBits } = parsePrefix(prefix)!;
  return `${[...network].join(".")}/${lengthBits}`;
}

function namesOf(peers: readonly InspectedPeer[]): string {
  const names = peers.slice(0, MAX_NAMES).map(({ name }) => name);
  const rest = peers.length - names.length;
  return rest > 0 ? `${names.join(", ")} and ${rest} more` : names.join(", ");
}
