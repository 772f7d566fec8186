/**
 * The configuration as the rest of portmesh sees it: complete (defaults filled in), expanded (port ranges,
 * inherited bind rules), in one unit per kind (milliseconds, canonical prefixes) and deep-frozen.
 *
 * The file's own spelling lives in schema.ts; nothing outside this folder knows it.
 */

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "json" | "pretty";
export type Protocol = "tcp" | "udp";
export type Balance = "round-robin" | "least-connections" | "source-hash" | "random";
export type SendProxy = "none" | "v1" | "v2";
export type UdpMode = "session" | "packet";

export interface Config {
  readonly node: { readonly name: string };
  readonly proxy: {
    /** 0 = one per core. */
    readonly workers: number;
    /** Addresses, prefixes or interface names; [] = every address. */
    readonly bind: readonly string[];
  };
  readonly admin: { readonly socket: string };
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  /** In file order; names are unique. */
  readonly services: readonly ServiceConfig[];
}

export interface ServiceConfig {
  readonly name: string;
  /** In file order, ranges expanded to single ports. */
  readonly publish: readonly PortConfig[];
  readonly tasks: readonly TaskConfig[];
  readonly balance: Balance;
  readonly sendProxy: SendProxy;
  /** Canonical CIDR prefixes. */
  readonly acceptProxy: readonly string[];
  /** Canonical CIDR prefixes. */
  readonly allow: readonly string[];
  /** Canonical CIDR prefixes. */
  readonly deny: readonly string[];
  /** The service's own bind, else proxy.bind; [] = every address. */
  readonly bind: readonly string[];
  /** 0 = no limit. */
  readonly maxConnections: number;
  /** 0 = never. */
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly udp: { readonly mode: UdpMode; readonly idleTimeoutMs: number; readonly maxSessions: number };
}

export interface PortConfig {
  readonly protocol: Protocol;
  readonly published: number;
  readonly target: number;
}

export interface TaskConfig {
  /** Literal IP address (canonical, no brackets) or DNS name (lower case). */
  readonly host: string;
  /** null: the target port of the published port. */
  readonly port: number | null;
  /** 1..256. */
  readonly weight: number;
  readonly isDraining: boolean;
  /** As the operator wrote it: for status and logs. */
  readonly name: string;
}
