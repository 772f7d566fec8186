/**
 * What is wrong with a node's network, and the nftables rules that make it so. Pure: faults in, ruleset text out.
 *
 * The rules sit in the node's own namespace: what it receives passes `in`, what it sends passes `out`. Its loopback
 * is spared, so that a node that is cut off still reaches its own tasks.
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

export interface NetworkFaults {
  readonly cuts: readonly Cut[];
  readonly losses: readonly Loss[];
}

export const NO_FAULTS: NetworkFaults = { cuts: [], losses: [] };

/** Replaces whatever rules the namespace had, in one transaction: `nft -f -`. */
export function toRuleset({ cuts, losses }: NetworkFaults): string {
  const incoming = [...cuts.filter(isIncoming).map(dropFrom), ...losses.map(lose)];
  const outgoing = cuts.filter(isOutgoing).map(dropTo);
  return `table inet faults
delete table inet faults
table inet faults {
${chain("in", "input", ["iifname lo accept", ...incoming])}
${chain("out", "output", ["oifname lo accept", ...outgoing])}
}
`;
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

function dropTo({ peers, protocol }: Cut): string {
  return `${match("daddr", peers)}${matchProtocol(protocol)}drop`;
}

function lose({ percent, peers }: Loss): string {
  return `${match("saddr", peers)}numgen random mod 100 < ${percent} drop`;
}

function matchProtocol(protocol: Cut["protocol"]): string {
  return protocol === undefined ? "" : `meta l4proto ${protocol} `;
}

function match(side: "saddr" | "daddr", peers: readonly string[]): string {
  return peers.length === 0 ? "" : `ip ${side} { ${peers.join(", ")} } `;
}
