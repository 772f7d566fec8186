/**
 * What the cluster agrees on: records, each with the stamp of its last write.
 *
 * Shared records (services made by command, directives about nodes) may be written by every node; the last writer wins.
 * Owned records (declarations, tasks, nodes) are written by their node only: no other node can change or remove them.
 */
import type { Labels, Origin, ServiceSpec, ServiceTask, Stamp } from "../model/index.ts";

/** A service made by command. Shared, by name. */
export interface ServiceRecord {
  readonly name: string;
  readonly spec: ServiceSpec;
  /** Of its first write: of two services that claim one port the older keeps it. */
  readonly created: Stamp;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** A service in a configuration file. Owned by the node with the file, by name. */
export interface DeclarationRecord extends ServiceRecord {
  /**
   * When the file last changed it; a restart with the same file does not touch it. Of several definitions of a service
   * the one changed last is in force. Counter 0: not known, older than every change that is.
   */
  readonly changed: Stamp;
  /** Path on its node. */
  readonly file: string;
}

/** Owned by the node that runs it, by service and name. */
export interface TaskRecord extends ServiceTask {
  readonly service: string;
  readonly origin: Origin;
  /** As its node has found out; missing where it is not checked, or by a node of an older version. */
  readonly health?: TaskHealth;
}

export interface TaskHealth {
  /** `starting`: no probe has decided yet. `draining`: the task wants no new clients. */
  readonly state: HealthState;
  /** "status 503, expected 200-399". Bounded by MAX_HEALTH_REASON_LENGTH of the writer. */
  readonly reason: string;
  /** ms since 1970, by the clock of its node. */
  readonly since: number;
}

export const HEALTH_STATES = ["starting", "healthy", "unhealthy", "draining"] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

/** Owned by the node it is about. */
export interface NodeRecord {
  readonly labels: Labels;
  /** Where it takes relays; null: nowhere. */
  readonly relay: RelayRecord | null;
  /** Its end of the overlay; null: it has said nothing of one. */
  readonly overlay: OverlayRecord | null;
  /** No new connections to its tasks. */
  readonly isDraining: boolean;
  readonly version: string;
  /** Listeners it cannot open: [service, "tcp 0.0.0.0:8080", why]. Bounded by MAX_BIND_ERRORS of the writer. */
  readonly bindErrors: readonly (readonly [service: string, listener: string, error: string])[];
  /** Where its services listen; missing from a node of an older version. */
  readonly network?: NodeNetwork;
  /**
   * Addresses of its tasks given by name, of those names that stand for an address of a node. Others do not resolve the
   * names of its tasks, and have to know where they lead. Bounded by MAX_TASK_ADDRESSES of the writer.
   */
  readonly taskAddresses?: readonly (readonly [service: string, task: string, address: string])[];
  /** Tasks of its own that it cannot reach; [] also from a node that does not report them. Bounded by MAX_DOWN_TASKS_BYTES. */
  readonly downTasks: readonly DownTask[];
}

export interface RelayRecord {
  readonly address: string;
  /** TCP */
  readonly port: number;
  /** UDP; inside the overlay of echoes too. Missing from a node of an older version. */
  readonly udpPort?: number;
}

export interface NodeNetwork {
  /** Without link-local ones. Bounded by MAX_NODE_ADDRESSES of the writer. */
  readonly addresses: readonly (readonly [interfaceName: string, address: string])[];
  /** proxy.bind */
  readonly bind: readonly string[];
}

export interface DownTask {
  readonly service: string;
  readonly task: string;
  /** "tcp 8080": published ports that do not get through to it; [] = none does. */
  readonly ports: readonly string[];
}

/** How a node takes part in the overlay; two nodes negotiate the rest from both records. */
export interface OverlayRecord {
  readonly driver: "kernel" | "userspace" | "none";
  /** IPv4; null: none, or not yet. */
  readonly address: string | null;
  readonly vni: number;
  /** UDP, at the address of its relay. */
  readonly port: number;
  /** It sends and takes nothing in clear. */
  readonly encrypt: boolean;
  /** Hex of an X25519 key, another one after every start; null: the cluster has no keys. */
  readonly publicKey: string | null;
}

/** An operator's directive about a node, given to any node. Shared, by node name. */
export interface NodeDirective {
  /** `forget`: its records are dropped, whatever it wrote before the directive's stamp. */
  readonly directive: "drain" | "forget";
}
