/**
 * What this node's file and its operator write to the catalog. A file is written service by service: one that is refused is
 * served here all the same, holds up no other, and is offered again with the next file or reload. A command is written
 * whole or not at all.
 */
import {
  applyFileChanges,
  type Catalog,
  type CatalogWriter,
  type FileChanges,
  type VisibleService,
} from "../../catalog/index.ts";
import type { Config } from "../../config/index.ts";
import type { Clock } from "../../sys/clock.ts";
import { byService, declarationsOf, servicesWith } from "../facts/declarations.ts";
import { fileChanges, withConfig } from "../facts/derive.ts";
import type { FileFacts } from "../facts/facts.ts";
import type { Reconciler } from "../facts/reconcile.ts";
import type { StateStore } from "../state-store.ts";
import type { ClusterLog } from "./cluster-log.ts";

/** Nothing has changed. `not-kept`: the state cannot be written. */
export interface WriteRefusal {
  readonly code: "invalid" | "not-kept";
  readonly error: string;
}

/** A service that stays unknown to other nodes, and why. */
export interface UnpublishedService {
  readonly service: string;
  readonly reason: string;
}

export interface CatalogWritesOptions {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  readonly store: Pick<StateStore, "write" | "writeText">;
  readonly clock: Clock;
  readonly log: Pick<ClusterLog, "refused">;
}

type Write = (writer: CatalogWriter) => void;

export class CatalogWrites {
  readonly #options: CatalogWritesOptions;
  /** Services of the file that the catalog refuses, with the reason. */
  #refused: ReadonlyMap<string, string> = new Map();

  constructor(options: CatalogWritesOptions) {
    this.#options = options;
  }

  // --- by file

  /** What the file declares, before any record of another node is accepted: as the oldest definition. */
  declareFirst(): void {
    const changes = fileChanges(this.#facts);
    this.#options.catalog.transactions(this.#groupsOf(changes)); // applyFile, which follows, reports refusals
    this.#learnFile({ pending: new Set(changes.declare.map(({ name }) => name)) });
  }

  /** The file is in force from now on. */
  applyFile(config: Config): void {
    const { catalog, log } = this.#options;
    const facts = withConfig(this.#facts, config);
    this.#refused = catalog.transactions(this.#groupsOf(fileChanges(facts)));
    for (const [service, reason] of this.#refused) log.refused(service, reason);
    const { tasks } = declarationsOf(config, facts.file.path);
    this.#learnFile({ config, tasks, isKnown: true, age: "known", pending: new Set() });
    this.#options.reconciler.now();
  }

  get unpublished(): readonly UnpublishedService[] {
    return unpublishedOf(this.#refused);
  }

  /** The same with another file; nothing is written. */
  unpublishedWith(config: Config): readonly UnpublishedService[] {
    const groups = this.#groupsOf(fileChanges(withConfig(this.#facts, config)));
    return unpublishedOf(this.#options.catalog.transactions(groups, true));
  }

  /** As the cluster would have them with this file. */
  servicesWith(config: Config): ReadonlyMap<string, VisibleService> {
    const { catalog, clock } = this.#options;
    return servicesWith(catalog, fileChanges(withConfig(this.#facts, config)), clock.nowMs());
  }

  // --- by command

  /**
   * A change that must outlive this process: all of it, kept, or nothing. What the state will be is written before it is
   * in force. Returns why it was refused, or null.
   */
  writeKept(change: Write): WriteRefusal | null {
    const { catalog, store, clock, reconciler } = this.#options;
    const after = catalog.snapshotAfter(change, reconciler.kept, clock.nowMs());
    if ("refusal" in after) return { code: "invalid", error: after.refusal };
    const unkept = store.writeText(after.snapshot);
    if (unkept !== null) {
      const error = `nothing was changed, because it would not survive a restart: ${unkept} (node.data_dir)`;
      return { code: "not-kept", error };
    }
    const refusal = this.write(change);
    return refusal === null ? null : { code: "invalid", error: refusal };
  }

  /**
   * A change, whether it can be kept or not: all of it or nothing. When it returns it is in force here and on its way to
   * the others. Returns why it was refused, or null.
   */
  write(change: Write): string | null {
    const { catalog, store, reconciler } = this.#options;
    const refusal = catalog.transaction(change);
    if (refusal !== null) return refusal;
    this.#wrote();
    reconciler.now();
    store.write();
    return null;
  }

  get #facts() {
    return this.#options.reconciler.facts;
  }

  #learnFile(file: Partial<FileFacts>): void {
    this.#options.reconciler.learn({ file: { ...this.#facts.file, ...file } });
    this.#wrote();
  }

  #wrote(): void {
    const { catalog, reconciler } = this.#options;
    if (catalog.revision === this.#facts.catalogRevision) return;
    reconciler.learn({ catalogRevision: catalog.revision, writes: this.#facts.writes + 1 });
  }

  /** By service. What is removed comes first: it makes room. */
  #groupsOf(changes: FileChanges): Map<string, Write> {
    const nowMs = this.#options.clock.nowMs();
    const apply = (part: FileChanges) => (writer: CatalogWriter) => applyFileChanges(writer, part, nowMs);
    const removed = apply({ ...changes, declare: [], writeTasks: [] });
    return new Map([
      ["", removed],
      ...byService(changes).map(([name, part]) => [name, apply(part)] as const),
    ]);
  }
}

function unpublishedOf(refused: ReadonlyMap<string, string>): UnpublishedService[] {
  return [...refused].map(([service, reason]) => ({ service, reason }));
}
