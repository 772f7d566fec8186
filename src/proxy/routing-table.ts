/**
 * The routing table: everything the proxy needs to know to serve published ports, and nothing else.
 *
 * It is immutable and structured-cloneable. Whoever owns the services (today the configuration file) builds a
 * new one for every change; the proxy compares it with the table it runs and changes only what differs.
 * Names have been resolved, port ranges expanded and `bind` rules turned into addresses before it gets here.
 */

export type Protocol = "tcp" | "udp";
export type Balance = "round-robin" | "least-connections" | "source-hash" | "random";
export type SendProxy = "none" | "v1" | "v2";
/** `session`: a client stays with its task until idle; `packet`: every datagram picks again. */
export type UdpMode = "session" | "packet";

export interface RoutingTable {
  /** Unique by name. No two services listen on the same protocol, address and port. */
  readonly services: readonly Service[];
}

export interface Service {
  readonly name: string;
  readonly balance: Balance;
  readonly sendProxy: SendProxy;
  /** CIDR prefixes whose connections must start with a PROXY header; all others must not. */
  readonly acceptProxy: readonly string[];
  /** CIDR prefixes; a client is served when `allow` matches and `deny` does not. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  /** Open client connections over all ports and workers; 0 = no limit. */
  readonly maxConnections: number;
  /** Close a TCP connection after so long without a byte either way; 0 = never. */
  readonly idleTimeoutMs: number;
  /** How long connections to a draining or removed task may go on; 0 = cut at once. */
  readonly drainTimeoutMs: number;
  readonly udp: UdpRules;
  readonly ports: readonly PublishedPort[];
  readonly tasks: readonly Task[];
  /** Local addresses to listen on: literal IPs; "0.0.0.0" and "::" are the wildcards. */
  readonly listenAddresses: readonly string[];
}

export interface UdpRules {
  readonly mode: UdpMode;
  readonly idleTimeoutMs: number;
  /** Per worker share of it: the oldest idle session is evicted at the limit. */
  readonly maxSessions: number;
}

export interface PublishedPort {
  readonly protocol: Protocol;
  readonly published: number;
  readonly target: number;
}

export interface Task {
  /** As the operator wrote it (`10.1.0.7:8081`, `web.internal`): for status and logs. */
  readonly name: string;
  /** Literal IPv4 or IPv6 address. A name with several addresses is several tasks with one name. */
  readonly address: string;
  /** null: the target port of the published port. */
  readonly port: number | null;
  /** 1…256, share of new connections. */
  readonly weight: number;
  /** Draining tasks get no new connection; theirs go on until drainTimeoutMs. */
  readonly isDraining: boolean;
}
