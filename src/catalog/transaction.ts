/**
 * Several writes of this node that take effect together or not at all. The first refusal decides; nothing has been
 * written then. Later writes see earlier ones of the same transaction.
 */
import type { EntryKind } from "./entry.ts";
import { MAX_SERVICES, MAX_TASKS_PER_NODE, MAX_WISHES } from "./limits.ts";
import { checkKey, decodeRecord, encodeRecord, type RecordOf, taskKey } from "./record-codec.ts";
import type {
  NodeRecord,
  NodeWish,
  Origin,
  ServiceRecord,
  ServiceSpec,
  Stamp,
  TaskRecord,
} from "./records.ts";
import type { Replica, Write } from "./replica.ts";
import { areSpecsEqual } from "./service-codec.ts";

export interface CatalogWriter {
  /** Creates or changes it. `nowMs` is what readers see as its time; it decides nothing. */
  writeService(name: string, spec: ServiceSpec, origin: Origin, nowMs: number): void;
  removeService(name: string): void;
  /** One of this node's tasks. */
  writeTask(task: TaskRecord): void;
  removeTask(service: string, name: string): void;
  /** About this node. */
  writeNode(record: NodeRecord): void;
  /** null takes it back. */
  wish(node: string, wish: NodeWish["wish"] | null): void;
}

export class Transaction implements CatalogWriter {
  /** "cannot write service web: spec.publish[0].target: 0 is outside 1..65535"; null: nothing was refused. */
  refusal: string | null = null;
  readonly #replica: Replica;
  /** By row, in order of writing. */
  readonly #writes = new Map<string, Write>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  writeService(name: string, spec: ServiceSpec, origin: Origin, nowMs: number): void {
    const current = this.#current("service", name);
    if (current !== null && current.origin === origin && areSpecsEqual(current.spec, spec)) return;
    const updatedAtMs = Math.max(0, Math.floor(nowMs));
    this.#stage("service", name, {
      name,
      spec,
      origin,
      created: current?.created ?? this.#firstStamp(),
      createdAtMs: current?.createdAtMs ?? updatedAtMs,
      updatedAtMs,
    } satisfies ServiceRecord);
  }

  removeService(name: string): void {
    this.#stage("service", name, null);
  }

  writeTask(task: TaskRecord): void {
    this.#stage("task", taskKey(task.service, task.name), task);
  }

  removeTask(service: string, name: string): void {
    this.#stage("task", taskKey(service, name), null);
  }

  writeNode(record: NodeRecord): void {
    this.#stage("node", "", record);
  }

  wish(node: string, wish: NodeWish["wish"] | null): void {
    this.#stage("wish", node, wish === null ? null : { wish });
  }

  /** Carries the writes out, or none of them. Returns the refusal. */
  commit(): string | null {
    this.refusal ??= this.#findLimit();
    if (this.refusal === null) for (const write of this.#writes.values()) this.#replica.write(write);
    return this.refusal;
  }

  #stage<K extends EntryKind>(kind: K, key: string, record: RecordOf[K] | null): void {
    if (this.refusal !== null) return;
    const problem = checkKey(kind, key) ?? this.#checkRecord(kind, key, record);
    if (problem !== null) this.refusal = `cannot write ${kind} ${key.replace("\0", " ")}: ${problem}`;
    else this.#writes.set(`${kind} ${key}`, { kind, key, record });
  }

  #checkRecord<K extends EntryKind>(kind: K, key: string, record: RecordOf[K] | null): string | null {
    if (record === null) return null;
    const decoded = decodeRecord(kind, key, encodeRecord(kind, record));
    return "problem" in decoded ? decoded.problem : null;
  }

  #current<K extends EntryKind>(kind: K, key: string): RecordOf[K] | null {
    const staged = this.#writes.get(`${kind} ${key}`);
    if (staged !== undefined) return staged.record as RecordOf[K] | null;
    const entry = this.#replica.table.get(kind, key, this.#replica.self);
    return (entry?.record ?? null) as RecordOf[K] | null;
  }

  #firstStamp(): Stamp {
    return { counter: this.#replica.counter + 1, node: this.#replica.self };
  }

  #findLimit(): string | null {
    const { table, self } = this.#replica;
    const tasks = [...(table.rowsOf(self)?.values() ?? [])].filter(
      (entry) => entry.kind === "task" && entry.record !== null,
    ).length;
    return (
      this.#passes("service", table.liveSharedCount("service"), MAX_SERVICES, "services") ??
      this.#passes("wish", table.liveSharedCount("wish"), MAX_WISHES, "wishes") ??
      this.#passes("task", tasks, MAX_TASKS_PER_NODE, "tasks on this node")
    );
  }

  /** Only what grows is refused: whoever is above the limit already may still change and remove. */
  #passes(kind: EntryKind, count: number, limit: number, what: string): string | null {
    let after = count;
    for (const write of this.#writes.values()) {
      if (write.kind !== kind) continue;
      const exists = this.#replica.table.get(kind, write.key, this.#replica.self)?.record != null;
      after += Number(write.record !== null) - Number(exists);
    }
    if (after <= limit || after <= count) return null;
    return `cannot write ${kind}: ${after} ${what}: at most ${limit} are allowed`;
  }
}
