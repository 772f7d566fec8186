/**
 * What readers see: records by name, those of dead nodes left out. Built when asked for and kept until the table
 * changes, so that asking often costs nothing.
 */
import { type Conflict, findConflicts } from "./conflicts.ts";
import { compareTexts, type Entry } from "./entry.ts";
import type { NodeRecord, NodeWish, ServiceRecord, Stamp, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";

export type VisibleService = ServiceRecord & { readonly stamp: Stamp };
export type VisibleTask = TaskRecord & { readonly owner: string; readonly stamp: Stamp };
export type VisibleNode = NodeRecord & { readonly stamp: Stamp };

interface View {
  /** What it was built from. */
  readonly version: number;
  readonly revision: number;
  readonly services: ReadonlyMap<string, VisibleService>;
  readonly tasks: readonly VisibleTask[];
  readonly tasksOf: ReadonlyMap<string, readonly VisibleTask[]>;
  readonly nodes: ReadonlyMap<string, VisibleNode>;
  readonly wishes: ReadonlyMap<string, NodeWish>;
  conflicts: ReadonlyMap<string, readonly Conflict[]> | null;
}

export class Views {
  readonly #replica: Replica;
  #view: View | null = null;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  current(): View {
    const { table, revision } = this.#replica;
    if (this.#view?.version === table.version && this.#view.revision === revision) return this.#view;
    this.#view = this.#build();
    return this.#view;
  }

  conflicts(): ReadonlyMap<string, readonly Conflict[]> {
    const view = this.current();
    view.conflicts ??= findConflicts(view.services.values());
    return view.conflicts;
  }

  #build(): View {
    const { table, revision } = this.#replica;
    const services: VisibleService[] = [];
    const tasks: VisibleTask[] = [];
    const nodes: [string, VisibleNode][] = [];
    const wishes: [string, NodeWish][] = [];
    for (const entry of this.#visibleEntries()) {
      const { kind, key, stamp, record } = entry;
      if (record === null) continue;
      if (kind === "service") services.push({ ...(record as ServiceRecord), stamp });
      else if (kind === "task") tasks.push({ ...(record as TaskRecord), owner: stamp.node, stamp });
      else if (kind === "node") nodes.push([stamp.node, { ...(record as NodeRecord), stamp }]);
      else wishes.push([key, record as NodeWish]);
    }
    services.sort((a, b) => compareTexts(a.name, b.name));
    tasks.sort(compareTasks);
    return {
      version: table.version,
      revision,
      services: new Map(services.map((service) => [service.name, service])),
      tasks,
      tasksOf: Map.groupBy(tasks, (task) => task.service),
      nodes: new Map(nodes.sort(([a], [b]) => compareTexts(a, b))),
      wishes: new Map(wishes),
      conflicts: null,
    };
  }

  *#visibleEntries(): Iterable<Entry> {
    for (const { owner, rows } of this.#replica.table.partitions.values()) {
      if (owner === null || this.#replica.owners.isLive(owner)) yield* rows.values();
    }
  }
}

/** The same order on every node. */
function compareTasks(one: VisibleTask, other: VisibleTask): number {
  return (
    compareTexts(one.service, other.service) ||
    compareTexts(one.owner, other.owner) ||
    compareTexts(one.name, other.name)
  );
}
