/** The status of a node: the answer to `portmesh status --json`. Plain values. */
import type { NodeInfo, PortConflict } from "../admin/index.ts";
import type { SettingChange } from "../config/index.ts";
import type { ProxyStatus } from "../proxy/index.ts";
import type { AdminTcpStatus } from "./admin/admin-tcp.ts";
import type { RoutingWarning } from "./build-routing.ts";
import type { Unpublished } from "./cluster/cluster.ts";
import type { KeyMismatch } from "./cluster/key-mismatch.ts";
import type { PredecessorStatus } from "./handover/predecessors.ts";
import type { DifferingService, TaskHealthStatus } from "./listings.ts";
import type { LogLoss } from "./log-backlog.ts";
import type { OverlayStatus } from "./overlay/overlay-status.ts";
import type { ReloadReport } from "./reload-report.ts";
import type { NameStatus } from "./resolver.ts";

export interface NodeStatus {
  readonly node: string;
  readonly version: BuildInfo;
  readonly state: "starting" | "serving" | "draining";
  readonly pid: number;
  /** The last of `predecessors`. */
  readonly predecessor?: PredecessorStatus | null;
  /** Processes that ran this node before and still have connections, the last one first. */
  readonly predecessors?: readonly PredecessorStatus[];
  /** ms since 1970 */
  readonly startedAt: number;
  /** of this answer, ms since 1970: ages are relative to it */
  readonly now: number;
  readonly config: {
    readonly file: string;
    /** When the running configuration was applied, ms since 1970. */
    readonly appliedAt: number;
    /** null: none since the start. */
    readonly lastReload: ReloadReport | null;
    /** Settings of the file that wait for a restart, as of the last reload. */
    readonly needsRestart: readonly SettingChange[];
  };
  /** Tasks given by name. */
  readonly names: readonly (NameStatus & { readonly services: readonly string[] })[];
  readonly warnings: readonly RoutingWarning[];
  /** Services that files, or a file and a command, define differently. */
  readonly differing: readonly DifferingService[];
  /** What the cluster refuses of the file, and only this node serves. */
  readonly unpublished: readonly Unpublished[];
  /** Why other nodes cannot reach this one: this machine has lost the address they know; null: it has it. */
  readonly addressProblem: string | null;
  /** Why what must survive a restart cannot be kept; null: it can. */
  readonly storeError: string | null;
  /** Lines of the log that were dropped because standard output takes none now; null: none. */
  readonly logLoss: LogLoss | null;
  /** The API over TCP; null: it is off. */
  readonly admin?: AdminTcpStatus | null;
  /** Tasks of all nodes that are checked. */
  readonly health: readonly TaskHealthStatus[];
  /** Services whose unhealthy tasks get clients, because none is healthy. */
  readonly inPanic: readonly string[];
  readonly proxy: ProxyStatus;
  /** null: the node has no [cluster]. */
  readonly cluster: ClusterStatus | null;
  /** null: the node has no [cluster]. */
  readonly overlay: OverlayStatus | null;
}

/** The cluster as this node sees it. */
export interface ClusterStatus {
  readonly name: string;
  /** Every member by name, this node among them. */
  readonly members: readonly NodeInfo[];
  readonly gossip: {
    /** Lifeguard's local health: 0 = well, up to 8 = this node is too slow to judge others. */
    readonly healthScore: number;
    /** Messages waiting to be sent, by queue: "membership", "serf". */
    readonly queueLengths: Readonly<Record<string, number>>;
    /** Packets and streams thrown away since the start, by reason; only reasons that have occurred. */
    readonly droppedTotal: Readonly<Record<string, number>>;
    /** Hosts that in the last minute sent what this node has no key for. */
    readonly keyTrouble?: readonly KeyMismatch[];
    /** Nodes of cluster.join, as "host:port", when none of them answers and this node is alone. */
    readonly silentSeeds?: readonly string[];
  };
  /** Ports that two services claim, of the whole cluster. */
  readonly conflicts: readonly PortConflict[];
  readonly catalog: {
    readonly services: number;
    readonly tasks: number;
    /** Equal on two nodes when they agree; a digest, short enough to compare by eye. */
    readonly revision: string;
  };
}

export interface BuildInfo {
  /** "0.1.0" */
  readonly version: string;
  /** Short hash of the commit it was built from; null when run from source. */
  readonly commit: string | null;
}
