/**
 * What is wrong with a node's network, and the nftables rules that make it so. Pure: faults in, ruleset text out.
 *
 * What a node receives is dropped in its own namespace, what it sends on the bridge's side of its cable: a packet that
 * is dropped where it is sent tells the sender (EPERM), and no network does that. The node's loopback is spared, so
 * that a node that is cut off still reaches its own tasks.
 */

export type Direction = "in" | "out" | "both";

export interface Cut {
  readonly direction: Direction;
  /** Addresses or prefixes on the other end; empty: everybody. */
  readonly peers: readonly string[];
  /** Absent: everything. */
  readonly protocol?: "udp" | "tcp";
}

export interface Loss {
  /** 0…100, of the packets the node receives. */
  readonly percent: number;
  /** From these addresses or prefixes; empty: everybody. */
  readonly peers: readonly string[];
}

/** A path MTU black hole: longer packets that the node sends vanish without an ICMP message. */
export interface Narrowing {
  /** Of the longest IP packet that passes. */
  readonly maxBytes: number;
  /** Addresses or prefixes that it sends to, of one family. */
  readonly peers: readonly string[];
}

export interface NetworkFaults {
  readonly cuts: readonly Cut[];
  readonly losses: readonly Loss[];
  readonly narrowings: readonly Narrowing[];
}

export const NO_FAULTS: NetworkFaults = { cuts: [], losses: [], narrowings: [] };

/** For the node's namespace; replaces whatever rules there were, in one transaction: `nft -f -`. */
export function incomingRuleset({ cuts, losses }: NetworkFaults): string {
  const rules = [...cuts.filter(isIncoming).map(dropFrom), ...losses.map(lose)];
  return table("inet faults", chain("in", "input", ["iifname lo accept", ...rules]));
}

/** For the namespace with the bridge, whose interface `port` the node's cable is in. */
export function outgoingRuleset({ cuts, narrowings }: NetworkFaults, port: string): string {
  const rules = [...cuts.filter(isOutgoing).map(dropTo), ...narrowings.map(dropLonger)];
  return table(`netdev faults-${port}`, chain("out", `ingress device ${port}`, rules));
}

/** A table is named before it is deleted, because deleting one that is not there is an error. */
function table(name: string, body: string): string {
  return `table ${name}\ndelete table ${name}\ntable ${name} {\n${body}\n}\n`;
}

function chain(name: string, hook: string, rules: readonly string[]): string {
  const lines = [`type filter hook ${hook} priority 0; policy accept;`, ...rules];
  return `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join("")}  }`;
}

function isIncoming({ direction }: Cut): boolean {
  return direction !== "out";
}

function isOutgoing({ direction }: Cut): boolean {
  return direction !== "in";
}

function dropFrom({ peers, protocol }: Cut): string {
  return `${match("saddr", peers)}${matchProtocol(protocol)}drop`;
}

/** On the bridge ARP passes, too: it is no part of the cut. */
function dropTo({ peers, protocol }: Cut): string {
  const everything = peers.length === 0 ? "meta protocol { ip, ip6 } " : "";
  return `${everything}${match("daddr", peers)}${matchProtocol(protocol)}drop`;
}

function lose({ percent, peers }: Loss): string {
  return `${match("saddr", peers)}numgen random mod 100 < ${percent} drop`;
}

function dropLonger({ maxBytes, peers }: Narrowing): string {
  return `${match("daddr", peers)}meta length > ${maxBytes} drop`;
}

function matchProtocol(protocol: Cut["protocol"]): string {
  return protocol === undefined ? "" : `meta l4proto ${protocol} `;
}

function match(side: "saddr" | "daddr", peers: readonly string[]): string {
  if (peers.length === 0) return "";
  const family = peers[0]!.includes(":") ? "ip6" : "ip";
  return `${family} ${side} { ${peers.join(", ")} } `;
}
