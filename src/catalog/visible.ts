/**
 * What readers see: services resolved from their definitions, and the tasks and records of live nodes. Built on demand and
 * kept until the table changes, so that reading often costs nothing.
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
import type { DeclarationRecord, NodeDirective, NodeRecord, ServiceRecord, TaskRecord } from "./records.ts";
import type { Replica } from "./replica.ts";

export type VisibleTask = TaskRecord & { readonly owner: string; readonly stamp: Stamp };
export type VisibleNode = NodeRecord & { readonly stamp: Stamp };

interface VisibleRecords {
  /** What it was built from. */
  readonly version: number;
  readonly revision: number;
  readonly services: ReadonlyMap<string, VisibleService>;
  /** In this node's file. */
  readonly ownDeclarations: ReadonlyMap<string, DeclarationRecord>;
  readonly tasks: readonly VisibleTask[];
  readonly tasksOf: ReadonlyMap<string, readonly VisibleTask[]>;
  readonly nodes: ReadonlyMap<string, VisibleNode>;
  readonly directives: ReadonlyMap<string, NodeDirective>;
  conflicts: ReadonlyMap<string, readonly Conflict[]> | null;
}

export class Visible {
  readonly #replica: Replica;
  #current: VisibleRecords | null = null;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  current(): VisibleRecords {
    const { table, revision } = this.#replica;
    if (this.#current?.version === table.version && this.#current.revision === revision) return this.#current;
    this.#current = this.#build();
    return this.#current;
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

  #build(): VisibleRecords {
    const { table, revision, self } = this.#replica;
    const definitions = new Map<string, Definition[]>();
    const ownDeclarations = new Map<string, DeclarationRecord>();
    const tasks: VisibleTask[] = [];
    const nodes: [string, VisibleNode][] = [];
    const directives: [string, NodeDirective][] = [];
    for (const entry of this.#visibleEntries()) {
      const { kind, key, stamp, record } = entry;
      if (record === null) continue;
      if (kind === "service") add(definitions, key, definitionByCommand(record as ServiceRecord, stamp));
      else if (kind === "declaration") {
        add(definitions, key, definitionByFile(record as DeclarationRecord, stamp.node));
        if (stamp.node === self) ownDeclarations.set(key, record as DeclarationRecord);
      } else if (kind === "task") tasks.push({ ...(record as TaskRecord), owner: stamp.node, stamp });
      else if (kind === "node") nodes.push([stamp.node, { ...(record as NodeRecord), stamp }]);
      else if (kind === "directive") directives.push([key, record as NodeDirective]);
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
      directives: new Map(directives),
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
