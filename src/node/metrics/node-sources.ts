/** What the metrics of a node are read from. */
import type { Config } from "../../config/index.ts";
import type { ProxyTotals } from "../../proxy/index.ts";
import type { ProcessFigures } from "../../sys/process-figures.ts";
import type { GossipTraffic } from "../cluster/gossip.ts";
import type { OverlayStatus } from "../overlay/overlay-status.ts";
import type { ReloadCounts } from "./reload-counts.ts";

export interface NodeSources {
  readonly version: { readonly version: string; readonly commit: string | null };
  /** The running one. */
  readonly config: () => Config;
  readonly isReady: () => boolean;
  /** ms since 1970 */
  readonly appliedAt: () => number;
  readonly reloads: ReloadCounts;
  /** How many settings of the file wait for a restart. */
  readonly settingsWaiting: () => number;
  readonly warnings: () => number;
  /** Names of tasks that cannot be resolved now. */
  readonly namesFailing: () => number;
  /** Lines that standard output does not take now. */
  readonly logLinesLost: () => number;
  readonly isStoreBroken: () => boolean;
  readonly totals: () => ProxyTotals;
  readonly cluster: () => ClusterFigures | null;
  readonly overlay: () => OverlayStatus | null;
  /** ms since 1970 */
  readonly nowMs: () => number;
  /** For measuring. */
  readonly steadyMs: () => number;
  readonly process: () => Promise<ProcessFigures>;
}

export interface ClusterFigures {
  readonly name: string;
  /** Members by state. */
  readonly members: Readonly<Record<"alive" | "suspect" | "failed" | "left", number>>;
  readonly healthScore: number;
  readonly queueLengths: Readonly<Record<string, number>>;
  readonly droppedTotal: Readonly<Record<string, number>>;
  readonly traffic: GossipTraffic;
  readonly services: number;
  readonly tasks: number;
  readonly conflicts: number;
  readonly differing: number;
  /** Hosts that in the last minute sent what this node has no key for. */
  readonly strangers: number;
  /** None of cluster.join answers, and this node is alone. */
  readonly isAlone: boolean;
  /** When the first of cluster.keys came into use, ms since 1970; null: there is none, or it is not known. */
  readonly keySinceMs: number | null;
}

/** Read together, before the first line is written. */
export interface Reading {
  readonly totals: ProxyTotals;
  readonly process: ProcessFigures;
}
