/**
 * The configuration as the rest of portmesh sees it: complete (defaults filled in), expanded (port ranges,
 * inherited bind rules), in one unit per kind (milliseconds, canonical prefixes) and deep-frozen.
 *
 * The file's own spelling lives in schema.ts; nothing outside this folder knows it.
 */

import type { Labels, ServiceSpec, ServiceTask } from "../model/index.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";
export type LogFormat = "auto" | "json" | "pretty";
export type ConnectionFormat = "auto" | "json" | "pretty" | "haproxy";
export type Profile = "lan" | "wan" | "local";

export interface Config {
  readonly node: NodeConfig;
  /** null: the node stands alone. */
  readonly cluster: ClusterConfig | null;
  readonly overlay: OverlayConfig;
  readonly proxy: {
    /** 0 = one per core. */
    readonly workers: number;
    /** Addresses, prefixes or interface names; [] = every address. */
    readonly bind: readonly string[];
  };
  /** null: the first of the standard ones that can be created. */
  readonly admin: {
    readonly socket: string | null;
    /** null: the API is on the socket only. */
    readonly http: AdminHttpConfig | null;
  };
  readonly log: LogConfig;
  /** In file order; names are unique. */
  readonly services: readonly ServiceConfig[];
}

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Which finished connections have a line: "off", "errors", "all" or "sampled:100". */
  readonly connections: string;
  /** auto: as `format`. */
  readonly connectionFormat: ConnectionFormat;
  /** Such lines per second at most. */
  readonly connectionRate: number;
}

export interface NodeConfig {
  readonly name: string;
  /** Literal IP address that other nodes reach this one by; null: that of cluster.bind, else of the default route. */
  readonly advertise: string | null;
  readonly labels: Labels;
  /** null: the standard one, which may be out of reach. */
  readonly dataDir: string | null;
  /** Health checks of type exec run here that other nodes or commands define. */
  readonly execChecks: boolean;
}

export interface ClusterConfig {
  readonly name: string;
  /** Base64 of 16, 24 or 32 bytes each. The first encrypts, all decrypt; []: nothing is encrypted. */
  readonly keys: readonly string[];
  /** Absolute path of the file that they are from; null: the configuration file. */
  readonly keysFile: string | null;
  readonly join: readonly GossipAddress[];
  /** Literal IP address and port, TCP and UDP. */
  readonly bind: { readonly host: string; readonly port: number };
  readonly profile: Profile;
  /** A node without keys may be reached from other machines. */
  readonly isInsecure: boolean;
}

/** The admin API over TCP. */
export interface AdminHttpConfig {
  /** Literal IP address and port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Names of this node in requests, besides IP addresses and localhost; in lower case. */
  readonly hosts: readonly string[];
  /** Absolute path. */
  readonly tokensFile: string | null;
  /** null: there is no file of tokens; `listen` is loopback then. */
  readonly tokens: readonly AdminTokenConfig[] | null;
  /** null: plain HTTP. */
  readonly tls: AdminTlsConfig | null;
}

export interface AdminTokenConfig {
  readonly role: "read" | "write";
  /** SHA-256 in hex. */
  readonly digest: string;
}

export interface AdminTlsConfig {
  /** Absolute paths. */
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of both, in hex. */
  readonly digest: string;
}

/** How what goes from node to node travels; of no effect without a cluster. */
export interface OverlayConfig {
  readonly driver: "auto" | "kernel" | "userspace" | "none";
  /** Of the overlay, UDP, and of the relay, TCP; where no driver holds it also of the relay's UDP. */
  readonly port: number;
  /** 1…2^24 - 1 */
  readonly vni: number;
  /** Canonical IPv4 prefix. */
  readonly subnet: string;
  /** Never true without cluster.keys. */
  readonly encrypt: boolean;
}

/** A node to join: canonical IP address or DNS name. */
export interface GossipAddress {
  readonly host: string;
  readonly port: number;
}

export interface ServiceConfig extends ServiceSpec {
  readonly name: string;
  readonly tasks: readonly ServiceTask[];
}
