/**
 * Keeps the records that this node alone writes in line with the facts: the one about itself, and its tasks whose service
 * is gone. Logs, once each, what other nodes do to the services of its file.
 */
import type { Catalog, Definition, NodeRecord } from "../../catalog/index.ts";
import type { Derived } from "../facts/derive.ts";
import type { Reconciler } from "../facts/reconcile.ts";
import type { ClusterLog } from "./cluster-log.ts";

export interface OwnRecordsOptions {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  readonly log: Pick<ClusterLog, "refused" | "superseded" | "overwritten" | "unreadable">;
}

export class OwnRecords {
  readonly #options: OwnRecordsOptions;
  #refusal: string | null = null;
  /** As last logged. */
  #superseded: ReadonlyMap<string, Definition> = new Map();

  constructor(options: OwnRecordsOptions) {
    this.#options = options;
  }

  /** Why the others do not get this node's own record; null: they do. */
  get refusal(): string | null {
    return this.#refusal;
  }

  apply({ orphans, record, superseded }: Derived): void {
    const { catalog, reconciler, log } = this.#options;
    const before = catalog.revision;
    if (orphans.length > 0)
      catalog.transaction((writer) => {
        for (const { service, name } of orphans) writer.removeTask(service, name);
      });
    const refusal = this.#isInForce(record) ? null : catalog.writeNode(record);
    if (refusal !== null && refusal !== this.#refusal) log.refused(null, refusal);
    this.#refusal = refusal;
    if (catalog.revision !== before)
      reconciler.learn({ catalogRevision: catalog.revision, writes: reconciler.facts.writes + 1 });
    this.#logSuperseded(superseded);
    for (const change of catalog.takeOverwritten()) log.overwritten(change);
    for (const record of catalog.takeUnreadable()) log.unreadable(record);
  }

  /** Most passes bring nothing new for it: a write is encoded and checked before it turns out to change nothing. */
  #isInForce(record: NodeRecord): boolean {
    const { catalog } = this.#options;
    const { stamp, ...inForce } = catalog.nodes().get(catalog.self) ?? { stamp: null };
    return stamp !== null && Bun.deepEquals(inForce, record);
  }

  #logSuperseded(superseded: Derived["superseded"]): void {
    for (const [name, definition] of superseded)
      if (!this.#superseded.has(name)) this.#options.log.superseded(name, definition);
    this.#superseded = superseded;
  }
}
