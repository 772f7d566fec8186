/**
 * Which services claim a port that an older service has: pure, and the same answer on every node, because it goes by
 * the stamp of a service's first write, which travels with its definitions. The older service keeps the port; the other
 * does not listen on it as long as that lasts. Other ports of both are not affected.
 */
import { canPortsConflict, type Protocol } from "../model/index.ts";
import { compareStamps, compareTexts } from "./entry.ts";
import type { ServiceRecord } from "./records.ts";

export interface Conflict {
  readonly protocol: Protocol;
  readonly published: number;
  /** Name of the service that keeps it. */
  readonly keptBy: string;
}

/** By the name of the service that has lost; services without conflicts are not in it. */
export function findConflicts(services: Iterable<ServiceRecord>): ReadonlyMap<string, readonly Conflict[]> {
  const conflicts = new Map<string, Conflict[]>();
  const keepers = new Map<string, ServiceRecord[]>();
  for (const service of [...services].sort(compareAge)) {
    for (const { protocol, published } of service.spec.publish) {
      const port = `${published}/${protocol}`;
      const rivals = keepers.get(port) ?? [];
      const keeper = rivals.find(
        (rival) => rival.name !== service.name && canPortsConflict(rival.spec, service.spec),
      );
      if (keeper === undefined) keepers.set(port, [...rivals, service]);
      else {
        const lost = conflicts.get(service.name) ?? [];
        lost.push({ protocol, published, keptBy: keeper.name });
        conflicts.set(service.name, lost);
      }
    }
  }
  return conflicts;
}

/** Oldest first. */
function compareAge(one: ServiceRecord, other: ServiceRecord): number {
  return compareStamps(one.created, other.created) || compareTexts(one.name, other.name);
}
