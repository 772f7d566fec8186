/**
 * What readers see: services out of their definitions, tasks and nodes without those of dead nodes. Built when asked for and kept until the table
 * changes, so that asking often costs nothing.
 */
import type { Stamp } from "../model/index.ts";
import { type Conflict, findConflicts } from "./conflicts.ts";
import {
  type Definition,
  definitionByCommand,
  definitionByFile,
  resolveService,
  type VisibleService,
} from "./definitions.ts";
import { compareTexts, type Entry } from "./entry.ts";
import type { DeclarationRecord, NodeRecord, NodeWish, ServiceRecord, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";

export type VisibleTask = TaskRecord & { readonly owner: string; readonly stamp: Stamp };
export type VisibleNode = NodeRecord & { readonly stamp: Stamp };

interface View {
  /** What it was built from. */
  readonly version: number;
  readonly revision: number;
  readonly services: ReadonlyMap<string, VisibleService>;
  /** In this node's file. */
  readonly ownDeclarations: ReadonlyMap<string, DeclarationRecord>;
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

  /** The services with other declarations of this node: null takes one away. */
  servicesWith(
    changes: ReadonlyMap<string, Pick<Definition, "file" | "spec" | "changed" | "updatedAtMs"> | null>,
  ): ReadonlyMap<string, VisibleService> {
    const services = new Map(this.current().services);
    for (const [name, change] of changes) {
      const before = services.get(name);
      const others = (before?.definitions ?? []).filter(
        ({ node, file }) => node !== this.#replica.self || file === null,
      );
      const { created, createdAtMs } = before ?? { created: NOT_YET, createdAtMs: 0 };
      const own = change === null ? [] : [{ ...change, created, createdAtMs, node: this.#replica.self }];
      const definitions = [...others, ...own];
      if (definitions.length === 0) services.delete(name);
      else services.set(name, resolveService(name, definitions));
    }
    return services;
  }

  #build(): View {
    const { table, revision, self } = this.#replica;
    const definitions = new Map<string, Definition[]>();
    const ownDeclarations = new Map<string, DeclarationRecord>();
    const tasks: VisibleTask[] = [];
    const nodes: [string, VisibleNode][] = [];
    const wishes: [string, NodeWish][] = [];
    for (const entry of this.#visibleEntries()) {
      const { kind, key, stamp, record } = entry;
      if (record === null) continue;
      if (kind === "service") add(definitions, key, definitionByCommand(record as ServiceRecord, stamp));
      else if (kind === "declaration") {
        add(definitions, key, definitionByFile(record as DeclarationRecord, stamp.node));
        if (stamp.node === self) ownDeclarations.set(key, record as DeclarationRecord);
      } else if (kind === "task") tasks.push({ ...(record as TaskRecord), owner: stamp.node, stamp });
      else if (kind === "node") nodes.push([stamp.node, { ...(record as NodeRecord), stamp }]);
      else if (kind === "wish") wishes.push([key, record as NodeWish]);
    }
    const services = [...definitions].sort(([a], [b]) => compareTexts(a, b));
    tasks.sort(compareTasks);
    return {
      version: table.version,
      revision,
      services: new Map(services.map(([name, all]) => [name, resolveService(name, all)])),
      ownDeclarations,
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
      else for (const entry of rows.values()) if (entry.kind === "declaration") yield entry;
    }
  }
}

/** Of a service that is about to begin: the youngest of all. */
const NOT_YET: Stamp = { counter: Number.MAX_SAFE_INTEGER, node: "" };

function add(definitions: Map<string, Definition[]>, name: string, definition: Definition): void {
  const all = definitions.get(name);
  if (all === undefined) definitions.set(name, [definition]);
  else all.push(definition);
}

/** The same order on every node. */
function compareTasks(one: VisibleTask, other: VisibleTask): number {
  return (
    compareTexts(one.service, other.service) ||
    compareTexts(one.owner, other.owner) ||
    compareTexts(one.name, other.name)
  );
}
