import { canBindsOverlap } from "./bind-rule.ts";
import { areSelectorsDisjoint } from "./labels.ts";
import type { Labels } from "./service.ts";

/** Where a service listens. */
interface Placement {
  readonly bind: readonly string[] | null;
  readonly nodes: Labels;
}

/** Whether two services that publish one port, and on it the same server name or none, conflict: some node may have to listen on one address for both. */
export function canPortsConflict(one: Placement, other: Placement): boolean {
  return canBindsOverlap(one.bind, other.bind) && !areSelectorsDisjoint(one.nodes, other.nodes);
}
