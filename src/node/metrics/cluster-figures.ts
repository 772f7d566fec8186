/** The cluster as the metrics show it. */
import type { Catalog } from "../../catalog/index.ts";
import type { MemberState } from "../../membership/index.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { differingServices } from "../listings.ts";
import type { ClusterFigures } from "./node-sources.ts";

const STATES: Readonly<Record<MemberState, keyof ClusterFigures["members"]>> = {
  alive: "alive",
  suspect: "suspect",
  dead: "failed",
  left: "left",
};

export function clusterFigures(
  {
    name,
    self,
    keySinceMs,
  }: { readonly name: string; readonly self: string; readonly keySinceMs: number | null },
  cluster: Cluster,
  catalog: Catalog,
): ClusterFigures {
  const all = cluster.members();
  const members = { alive: 0, suspect: 0, failed: 0, left: 0 };
  for (const { state } of all) members[STATES[state]]++;
  const conflicts = [...catalog.conflicts().values()];
  return {
    name,
    members,
    ...cluster.stats,
    traffic: cluster.traffic,
    services: catalog.services().size,
    tasks: catalog.tasks().length,
    conflicts: conflicts.reduce((sum, ports) => sum + ports.length, 0),
    differing: differingServices(catalog.services().values(), { self, members: all }).length,
    strangers: cluster.keyMismatches.length,
    isAlone: cluster.silentSeeds.length > 0,
    keySinceMs,
  };
}
