/**
 * What a service is: the one definition that the file, the commands, the catalog and the proxy share. Their own types add
 * to it (a stamp, a state, a file's spelling) and never repeat it. Its rules are in service-schema.ts and limits.ts.
 */

import type { Check } from "./check.ts";
import type { ClientLimits } from "./client-limits.ts";

export const PROTOCOLS = ["tcp", "udp"] as const;
export const PUBLISH_MODES = ["ingress", "host"] as const;
export const BALANCES = ["round-robin", "least-connections", "source-hash", "random"] as const;
export const PREFERENCES = ["any", "local", "zone"] as const;
export const SEND_PROXY = ["none", "v1", "v2"] as const;
export const UDP_MODES = ["session", "packet"] as const;

export type Protocol = (typeof PROTOCOLS)[number];
/** `ingress`: on every node; `host`: only on nodes with a task, and only to their own tasks. */
export type PublishMode = (typeof PUBLISH_MODES)[number];
export type Balance = (typeof BALANCES)[number];
/** Tasks picked first: any, those of this node, those of its zone. The others are used when these fail. */
export type Prefer = (typeof PREFERENCES)[number];
/** Version of the PROXY protocol header sent to tasks. */
export type SendProxy = (typeof SEND_PROXY)[number];
/** `session`: a client stays with its task until idle; `packet`: a task is picked for every datagram. */
export type UdpMode = (typeof UDP_MODES)[number];
/** `file`: declared by a configuration file; `api`: created by command. */
export type Origin = "file" | "api";

/** Lamport counter and node of a write: ordered by counter, then by node name. */
export interface Stamp {
  readonly counter: number;
  readonly node: string;
}

/** Of a node; of a service: the nodes that listen for it must have all of them. */
export type Labels = Readonly<Record<string, string>>;

export interface PortSpec {
  readonly protocol: Protocol;
  readonly published: number;
  readonly target: number;
  readonly mode: PublishMode;
  /**
   * TCP: only clients that ask for one of these server names in their TLS ClientHello; never empty, canonical. Absent:
   * every client of the port that no other service has by name.
   */
  readonly sni?: readonly string[];
}

/** How the clients of a service are served. */
export interface TrafficRules {
  readonly balance: Balance;
  readonly prefer: Prefer;
  readonly sendProxy: SendProxy;
  /** CIDR prefixes of clients that must send a PROXY protocol header; all others must not. */
  readonly acceptProxy: readonly string[];
  /** CIDR prefixes; a client is served when `allow` matches and `deny` does not. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** Open TCP connections of clients on one node; 0 = no limit. */
  readonly maxConnections: number;
  /** A TCP connection without traffic is closed after this; 0 = never. */
  readonly idleTimeoutMs: number;
  /** How long connections to a draining or removed task may continue; 0 = they are closed at once. */
  readonly drainTimeoutMs: number;
  /** Absent: no client is limited. */
  readonly perClient?: ClientLimits;
  readonly udp: UdpRules;
}

export interface UdpRules {
  readonly mode: UdpMode;
  readonly idleTimeoutMs: number;
  /** On one node: at the limit the session that has been idle longest is evicted. */
  readonly maxSessions: number;
  /** A session ends when each of its datagrams has had this many replies; 0 = when it is idle. */
  readonly responses: number;
}

/** Everything but the ports. */
export interface ServiceRules extends TrafficRules {
  /** Addresses, prefixes or interface names; null: as proxy.bind of each node says; [] = every address. */
  readonly bind: readonly string[] | null;
  /** {} = every node. */
  readonly nodes: Labels;
  /** null: tasks are not checked. */
  readonly check: Check | null;
  /** Unhealthy tasks are used while no task is healthy. */
  readonly panic: boolean;
  /** A task that becomes healthy gets its whole share after so long; 0 = at once. */
  readonly slowStartMs: number;
}

export interface ServiceSpec extends ServiceRules {
  /** Never empty; no protocol and published port twice. */
  readonly publish: readonly PortSpec[];
}

export interface TaskSpec {
  /** As the operator wrote it: `127.0.0.1`, `10.1.0.7:8081`, `web.internal`. Unique in the service on its node. */
  readonly name: string;
  /** Canonical IP address or DNS name, as the task's node sees it. */
  readonly host: string;
  /** null: the target port of the published port. */
  readonly port: number | null;
  /** 1..256: its share of new connections. */
  readonly weight: number;
  /** Only used while no other task can be; absent: false. */
  readonly isBackup?: boolean;
}

export interface ServiceTask extends TaskSpec {
  /** No new connections. */
  readonly isDraining: boolean;
}

/** "8080/tcp" */
export function formatPort({ protocol, published }: Pick<PortSpec, "protocol" | "published">): string {
  return `${published}/${protocol}`;
}

/** Whatever the order of their labels. */
export function areSpecsEqual(one: ServiceSpec, other: ServiceSpec): boolean {
  return one === other || Bun.deepEquals(one, other);
}
