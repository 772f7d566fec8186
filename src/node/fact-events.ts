/** Events that no part of the node reports by itself: they are found by comparing the facts of one pass with the last. */

import type { EventSink } from "./events/events.ts";
import type { Facts } from "./facts/facts.ts";

type Conflicts = ReturnType<Facts["catalog"]["conflicts"]>;

/** A service of a large range may lose all its ports. */
const MAX_CONFLICTS_TOLD = 10;

export class FactEvents {
  readonly #events: EventSink;
  #conflicts: Conflicts = new Map();
  #isDraining = false;

  constructor(events: EventSink) {
    this.#events = events;
  }

  follow({ self, catalog }: Pick<Facts, "self" | "catalog">): void {
    this.#followDirective(catalog.directiveOf(self) === "drain");
    this.#followConflicts(self, catalog);
  }

  /** Every node has heard of it; the one it is about says so. */
  #followDirective(isDraining: boolean): void {
    if (isDraining === this.#isDraining) return;
    this.#isDraining = isDraining;
    const message = isDraining
      ? "draining by order of an operator: no new connections to tasks of this node"
      : "no longer draining: tasks of this node get new connections again";
    this.#events.record({ kind: "node-draining", message });
  }

  /** Of services that were defined here: the other nodes say it of theirs. */
  #followConflicts(self: string, catalog: Facts["catalog"]): void {
    const conflicts = catalog.conflicts();
    if (conflicts === this.#conflicts) return;
    for (const [service, lost] of conflicts) {
      const definitions = catalog.services().get(service)?.definitions ?? [];
      if (!definitions.some(({ node }) => node === self)) continue;
      const known = new Set((this.#conflicts.get(service) ?? []).map(portOf));
      const added = lost.filter((conflict) => !known.has(portOf(conflict)));
      for (const conflict of added.slice(0, MAX_CONFLICTS_TOLD))
        this.#events.record({
          kind: "conflict",
          message: `service "${service}" does not get port ${portOf(conflict)}: service "${conflict.keptBy}" is older and has it`,
          service,
          port: portOf(conflict),
        });
    }
    this.#conflicts = conflicts;
  }
}

function portOf({ published, protocol }: { readonly published: number; readonly protocol: string }): string {
  return `${published}/${protocol}`;
}
