/** Rules of policy routing: which table is looked up for which packets. Throws NetlinkError. */
import { AF_INET } from "../../sys/sockaddr.ts";
import { decodeRuleMessage, encodeRuleRequest, RTM_GETRULE } from "../../wire/netlink/index.ts";
import { ipText } from "./address-text.ts";
import type { NetlinkSession } from "./netlink-session.ts";

export interface Rule {
  /** The lowest is looked at first: 0 is table local, 32766 main. */
  readonly priority: number;
  /** 0: it looks none up, but drops or rejects. */
  readonly table: number;
  /** "10.200.0.0/16"; null: any. */
  readonly destination: string | null;
  readonly source: string | null;
  /** What it describes is what it is not for. */
  readonly isInverted: boolean;
  /** For packets with a mark, or of an interface, only. */
  readonly isLimited: boolean;
}

/** Of IPv4, in the order in which they are looked at. */
export function listRules(session: NetlinkSession): Rule[] {
  return session
    .dump("list rules", RTM_GETRULE, encodeRuleRequest(AF_INET))
    .flatMap((payload) => readRule(payload) ?? [])
    .sort((a, b) => a.priority - b.priority);
}

function readRule(payload: Uint8Array): Rule | null {
  const rule = decodeRuleMessage(payload);
  if (rule === null) return null;
  const { priority, table, isInverted, isLimited } = rule;
  const prefix = (bytes: Uint8Array | undefined, length: number) =>
    bytes === undefined || length === 0 ? null : `${ipText(bytes)}/${length}`;
  return {
    priority,
    table,
    destination: prefix(rule.destination, rule.destinationLength),
    source: prefix(rule.source, rule.sourceLength),
    isInverted,
    isLimited,
  };
}
