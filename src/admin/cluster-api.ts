/**
 * The cluster as the admin API shows it: what a node answers about all its services, tasks and nodes, and the changes it
 * accepts. Plain JSON values; times are ms since 1970, names are as the operator wrote them.
 */
import type {
  Labels,
  Origin,
  PortSpec,
  Protocol,
  PublishMode,
  ServiceSpec,
  Stamp,
  TaskSpec,
} from "../model/index.ts";
import type { AdminNode } from "./app.ts";
import type { EventNode } from "./event-api.ts";
import type { HandoverCommands } from "./handover-routes.ts";
import type { MetricsNode } from "./metrics-routes.ts";

/**
 * As the node that is asked sees it. `starting`: the first probe of its health check is due; `unhealthy`: the check has
 * failed; `failing`: a connect to it has lately failed; `unreachable`: its node is a
 * member but cannot be relayed to; `down`: its node is suspect, failed or gone; `loop`: it leads back to a published port
 * of its service, `error` has the path; it gets no client.
 */
export type TaskState =
  | "active"
  | "draining"
  | "failing"
  | "unreachable"
  | "down"
  | "loop"
  | "starting"
  | "unhealthy";

export interface TaskInfo extends TaskSpec {
  readonly node: string;
  readonly origin: Origin;
  readonly state: TaskState;
  /** Why it is not active; null: no reason known. */
  readonly error: string | null;
  /** As its node has found out; null: it is not checked. */
  readonly health: HealthInfo | null;
}

export interface HealthInfo {
  readonly state: "starting" | "healthy" | "unhealthy" | "draining";
  /** "status 503, expected 200-399" */
  readonly reason: string;
  /** When the state began, ms since 1970. */
  readonly since: number;
}

/** A port that a service asks for and does not get, because an older service has it. */
export interface PortConflict {
  readonly service: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** The service that keeps the port. */
  readonly with: string;
}

/** What one file says a service is, or a command. */
export interface DefinitionInfo {
  /** The node with the file, or the one on which the command was run. */
  readonly node: string;
  /** Path of the file on its node; null: made by command. */
  readonly file: string | null;
  /** false: the node is suspect, failed or gone. What its file declares stays until it is forgotten. */
  readonly isAlive: boolean;
  readonly changedAtMs: number;
  /** From the definition in force to this one: "balance round-robin -> random"; [] when they are equal. */
  readonly differences: readonly string[];
}

export interface ServiceInfo {
  readonly name: string;
  /** Of the definition in force. */
  readonly spec: ServiceSpec;
  /** `file` as long as the file of some node declares it. */
  readonly origin: Origin;
  /** The one in force, then the others, newest first. Never empty. */
  readonly definitions: readonly DefinitionInfo[];
  /** Of the last write: what an update expects. */
  readonly stamp: Stamp;
  /** Of the first write. */
  readonly created: Stamp;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Of all nodes, ordered by node and name. */
  readonly tasks: readonly TaskInfo[];
  /** Ports it does not get. */
  readonly conflicts: readonly PortConflict[];
  /** No task is healthy: unhealthy ones get the clients. */
  readonly isInPanic: boolean;
  /** Changes by command that were lost, newest last; at most 8. */
  readonly overwritten: readonly OverwrittenInfo[];
}

/** Two nodes changed a service by command without knowing of each other: one of the changes is lost. */
export interface OverwrittenInfo {
  readonly node: string;
  readonly atMs: number;
  readonly byNode: string;
  readonly byAtMs: number;
  /** From what was lost to what took its place: "balance random -> round-robin", "removed -> kept". */
  readonly differences: readonly string[];
}

export interface NodeInfo {
  readonly name: string;
  /** Where it gossips: "192.0.2.10:7946"; null: this node has no cluster. */
  readonly address: string | null;
  readonly state: "alive" | "suspect" | "failed" | "left";
  readonly isSelf: boolean;
  /** No new connections to its tasks, because it stops or because an operator wants it. */
  readonly isDraining: boolean;
  readonly labels: Labels;
  /** Its label `zone`. */
  readonly zone: string | null;
  /** How many tasks it has declared. */
  readonly tasks: number;
  /** null: not a portmesh node (another serf member), or not known yet. */
  readonly version: string | null;
  /** Where it takes relays: "10.200.3.7:4790"; null: it takes none. */
  readonly relay: string | null;
  /** null: not measured (yet), or this node. */
  readonly rttMs: number | null;
  readonly bindErrors: readonly BindError[];
}

/** A listener a node cannot open. */
export interface BindError {
  readonly service: string;
  /** "tcp 0.0.0.0:8080" */
  readonly listener: string;
  readonly error: string;
}

export interface TraceQuery {
  readonly port: number;
  readonly protocol: Protocol;
  /** Literal address of the client; null: any, so allow, deny and source-hash are not judged. */
  readonly client: string | null;
  /** Server name that the client asks for; absent: any. */
  readonly sni?: string | undefined;
}

/** Nothing is opened and no turn is used up by asking. */
export interface Trace extends TraceQuery {
  /** The node that was asked. */
  readonly node: string;
  /**
   * The services with this port and server name: without `sni` all that share the port, else several only where their
   * `bind` differs; [] when no service has such clients.
   */
  readonly services: readonly ServiceTrace[];
}

export interface ServiceTrace {
  readonly service: string;
  readonly target: number;
  readonly mode: PublishMode;
  /** Its server names on this port; absent: the clients that no other service has by name. */
  readonly sni?: readonly string[];
  readonly balance: ServiceSpec["balance"];
  readonly prefer: ServiceSpec["prefer"];
  /** Where this node listens for it, "0.0.0.0:8080"; [] when it does not. */
  readonly listeners: readonly string[];
  /** In the order in which they would be tried, those passed over last. */
  readonly candidates: readonly TraceCandidate[];
  /** The candidate that would be picked; null: the client would be refused. */
  readonly pick: { readonly node: string; readonly task: string } | null;
  /** Why this one, or why none: "next in turn", "denied by 10.0.0.0/8", "not on this node: nodes requires zone=eu-1". */
  readonly reason: string;
}

export interface TraceCandidate {
  readonly node: string;
  readonly task: string;
  /** What would be connected to: "127.0.0.1:80", "relay 10.200.3.7:4790". */
  readonly via: string;
  readonly distance: "local" | "zone" | "far";
  readonly weight: number;
  readonly state: TaskState;
  /** null: it takes part in the pick. */
  readonly passedOver: string | null;
}

/** All of it is done or nothing. */
export interface CreateService {
  readonly name: string;
  readonly spec: ServiceSpec;
  readonly tasks: readonly TaskSpec[];
}

/** All of it is done or nothing. */
export interface UpdateService {
  /** The stamp that was read; the update is refused with `changed` after another write. */
  readonly expected: Stamp;
  /** The whole of it; null: stays as it is. */
  readonly spec: ServiceSpec | null;
  readonly addTasks: readonly TaskSpec[];
  /** Names of tasks of this node. */
  readonly removeTasks: readonly string[];
}

export type NodeAction = "drain" | "resume" | "forget";

/** `not-found` answers 404, `invalid` 422, `not-kept` (the state cannot be written) and everything else 409. */
export type ApiErrorCode =
  | "not-found"
  | "exists"
  | "port-taken"
  | "declared-by-file"
  | "changed"
  | "alive"
  | "not-kept"
  | "invalid";

/** Why a request was not carried out; nothing has changed then. api-errors.ts has their texts. */
export interface ApiError {
  readonly code: ApiErrorCode;
  readonly error: string;
  /** What of the request it is about; the command names the flag that said it. */
  readonly about?:
    | { readonly port: Pick<PortSpec, "protocol" | "published"> }
    | { readonly task: string }
    | { readonly name: string };
}

/** Requests have been checked for shape, types and ranges; what they mean together with the rest is checked here. */
export interface ClusterCommands {
  /** `exists`, `port-taken`. Resolves, like every change, when it is stored and this node's listeners are open. */
  createService(request: CreateService): Promise<ApiError | null>;
  /** `not-found`, `declared-by-file` (when `spec` differs), `changed`, `port-taken`, `exists` (a task). */
  updateService(name: string, request: UpdateService): Promise<ApiError | null>;
  /** With its tasks on all nodes. `not-found`, `declared-by-file`. */
  removeService(name: string): Promise<ApiError | null>;
  /** `not-found` (the service), `exists` (the task). */
  addTask(service: string, task: TaskSpec): Promise<ApiError | null>;
  /** `not-found` (service or task of this node), `declared-by-file` (the task). */
  removeTask(service: string, task: string): Promise<ApiError | null>;
  /** `not-found`. False takes it into rotation again. Also for tasks declared by a file. */
  drainTask(service: string, task: string, isDraining: boolean): Promise<ApiError | null>;
  /** `not-found`; `alive`: only a failed or left node can be forgotten. */
  setNodeDirective(name: string, directive: NodeAction): Promise<ApiError | null>;
}

export interface ClusterNode extends AdminNode, EventNode {
  readonly commands: ClusterCommands;
  readonly handover: HandoverCommands;
  readonly metrics: MetricsNode;
  /** By name. */
  services(): readonly ServiceInfo[];
  service(name: string): ServiceInfo | null;
  /** Every member, by name; a node without [cluster] shows itself. */
  nodes(): readonly NodeInfo[];
  trace(query: TraceQuery): Promise<Trace>;
  /** Of each other member: what gets through between it and this node. Takes some seconds. */
  testPorts(): Promise<readonly object[]>;
}
