/**
 * Which services claim a port that an older service has: pure, and the same answer on every node, because it goes by
 * the stamp of a service's first write, which travels with its definitions. The older service keeps the port; the other
 * does not listen on it as long as that lasts. Other ports of both are not affected. Services share a port by server names:
 * only the same name conflicts, and no name with no name.
 */
import { canPortsConflict, formatPort, namesOfPort, type Protocol } from "../model/index.ts";
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
  /** By port and server name. */
  const keepers = new Map<string, readonly ServiceRecord[]>();
  for (const service of [...services].sort(compareAge)) {
    for (const port of service.spec.publish) {
      const claims = namesOfPort(port).map((name) => `${formatPort(port)} ${name}`);
      const keeper = findKeeper(service, claims, keepers);
      if (keeper === undefined)
        for (const claim of claims) keepers.set(claim, [...(keepers.get(claim) ?? []), service]);
      else {
        const lost = conflicts.get(service.name) ?? [];
        const { protocol, published } = port;
        lost.push({ protocol, published, keptBy: keeper.name });
        conflicts.set(service.name, lost);
      }
    }
  }
  return conflicts;
}

function findKeeper(
  service: ServiceRecord,
  claims: readonly string[],
  keepers: ReadonlyMap<string, readonly ServiceRecord[]>,
): ServiceRecord | undefined {
  for (const claim of claims) {
    const keeper = keepers
      .get(claim)
      ?.find((rival) => rival.name !== service.name && canPortsConflict(rival.spec, service.spec));
    if (keeper !== undefined) return keeper;
  }
  return undefined;
}

/** Oldest first. */
function compareAge(one: ServiceRecord, other: ServiceRecord): number {
  return compareStamps(one.created, other.created) || compareTexts(one.name, other.name);
}
