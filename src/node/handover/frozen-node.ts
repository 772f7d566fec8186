/** What of a node only one process can do, in the order in which it stops. */
import type { SpliceProxy } from "../../proxy/index.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Events } from "../events/events.ts";
import type { LazyMetrics } from "../metrics/lazy-metrics.ts";
import type { CommandGate } from "./command-gate.ts";
import type { HandoverPart } from "./handover-part.ts";
import { packCluster, packEvents, packMetrics, packProxy } from "./node-state.ts";
import type { Predecessors } from "./predecessors.ts";

export const CLUSTER_PART = "cluster";
export const PROXY_PART = "proxy";
export const EVENTS_PART = "events";
export const METRICS_PART = "metrics";

export interface FrozenNode {
  readonly commands: CommandGate;
  readonly events: Pick<Events, "export">;
  readonly predecessors: Predecessors;
  readonly tables: { change(work: () => Promise<void>): Promise<void> };
  /** The tasks are probed by one process. */
  readonly checks: { pause(): void; resume(): void; close(): void };
  readonly proxy: Pick<SpliceProxy, "pauseUdp" | "resumeUdp" | "forgetUdp" | "exportCounters">;
  readonly cluster: Pick<Cluster, "pause" | "resume">;
  readonly metrics: Pick<LazyMetrics, "state">;
}

export function handoverParts({
  commands,
  events,
  predecessors,
  tables,
  checks,
  proxy,
  cluster,
  metrics,
}: FrozenNode): HandoverPart[] {
  return [
    commands,
    predecessors,
    heldTable(tables),
    {
      key: EVENTS_PART,
      freeze: async () => packEvents(events.export()),
      thaw: async () => undefined,
      leave: async () => undefined,
    },
    {
      key: "checks", // their results are in the records of the cluster
      freeze: async () => {
        checks.pause();
        return null;
      },
      thaw: async () => checks.resume(),
      leave: async () => checks.close(),
    },
    {
      key: CLUSTER_PART,
      freeze: async () => packCluster(await cluster.pause()),
      thaw: () => cluster.resume(),
      leave: async () => undefined,
    },
    {
      key: METRICS_PART,
      freeze: async () => packMetrics(await metrics.state()),
      thaw: async () => undefined,
      leave: async () => undefined,
    },
    // last: clients of UDP wait from here on
    {
      key: PROXY_PART,
      freeze: async () => packProxy(await proxy.pauseUdp(), proxy.exportCounters()),
      thaw: () => proxy.resumeUdp(),
      leave: () => proxy.forgetUdp(),
    },
  ];
}

/** No other table is prepared meanwhile. */
function heldTable(tables: FrozenNode["tables"]): HandoverPart {
  let release = (): void => undefined;
  const end = async () => release();
  return {
    key: "tables",
    freeze: () => {
      const begun = Promise.withResolvers<null>();
      const over = Promise.withResolvers<void>();
      release = over.resolve;
      tables
        .change(() => {
          begun.resolve(null);
          return over.promise;
        })
        .catch(begun.reject);
      return begun.promise;
    },
    thaw: end,
    leave: end,
  };
}
