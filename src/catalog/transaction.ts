/**
 * Several writes of this node that take effect together or not at all. The first refusal decides; nothing has been
 * written then. Later writes see earlier ones of the same transaction.
 */
import { areSpecsEqual, MAX_TASKS_PER_NODE, type ServiceSpec, type Stamp } from "../model/index.ts";
import { UNKNOWN_COUNTER, YOUNGEST_COUNTER } from "./definitions.ts";
import { isTombstone } from "./entry.ts";
import type { EntryKind } from "./kinds.ts";
import { MAX_DECLARATIONS_PER_NODE, MAX_DIRECTIVES, MAX_SERVICES } from "./limits.ts";
import { checkKey, type EncodedRecord, prepareRecord, type RecordOf, taskKey } from "./record-codec.ts";
import type { DeclarationRecord, NodeDirective, NodeRecord, ServiceRecord, TaskRecord } from "./records.ts";
import type { Replica, Write } from "./replica.ts";

/** A service as this node's file has it. */
export interface Declaration {
  readonly name: string;
  readonly spec: ServiceSpec;
  readonly file: string;
  /**
   * `newest`: the file has changed, so this is in force from now on. `kept`: as old as it was; where that is not known
   * it is the oldest definition. `pending`: the same, before others have been heard; to be declared once more then.
   */
  readonly age: "newest" | "kept" | "pending";
}

export interface CatalogWriter {
  /** By command: creates or changes it. `nowMs` is what readers see as its time; it decides nothing. */
  writeService(name: string, spec: ServiceSpec, nowMs: number): void;
  removeService(name: string): void;
  /** One of the services in this node's file. */
  declare(declaration: Declaration, nowMs: number): void;
  undeclare(name: string): void;
  /** One of this node's tasks. */
  writeTask(task: TaskRecord): void;
  removeTask(service: string, name: string): void;
  /** About this node. */
  writeNode(record: NodeRecord): void;
  /** null takes it back. */
  setDirective(node: string, directive: NodeDirective["directive"] | null): void;
}

/** When a service began. */
export type FirstWrite = Pick<ServiceRecord, "created" | "createdAtMs">;
/** null: the service is not defined. */
export type FirstWriteOf = (service: string) => FirstWrite | null;

export class Transaction implements CatalogWriter {
  /** "cannot write service web: spec.publish[0].target: 0 is outside 1..65535"; null: nothing was refused. */
  refusal: string | null = null;
  readonly #replica: Replica;
  /** By row, in order of writing. */
  readonly #writes = new Map<string, Write>();

  readonly #firstWriteOf: FirstWriteOf;

  constructor(replica: Replica, firstWriteOf: FirstWriteOf) {
    this.#replica = replica;
    this.#firstWriteOf = firstWriteOf;
  }

  writeService(name: string, spec: ServiceSpec, nowMs: number): void {
    const current = this.#current("service", name);
    if (current !== null && areSpecsEqual(current.spec, spec)) return;
    const updatedAtMs = Math.max(0, Math.floor(nowMs));
    this.#stage("service", name, {
      name,
      spec,
      ...this.#createdOf(name, current, updatedAtMs),
      updatedAtMs,
    } satisfies ServiceRecord);
  }

  declare({ name, spec, file, age }: Declaration, nowMs: number): void {
    const current = this.#current("declaration", name);
    const isSame = current !== null && areSpecsEqual(current.spec, spec);
    const writtenAtMs = Math.max(0, Math.floor(nowMs));
    const unknown = { counter: UNKNOWN_COUNTER, node: this.#replica.self };
    const kept = isSame ? current.changed : unknown;
    const youngest = { counter: YOUNGEST_COUNTER, node: this.#replica.self };
    const created =
      age === "pending"
        ? { created: current?.created ?? youngest, createdAtMs: current?.createdAtMs ?? writtenAtMs }
        : this.#createdOf(name, current, writtenAtMs);
    this.#stage(
      "declaration",
      name,
      {
        name,
        spec,
        ...created,
        updatedAtMs: isSame && age !== "newest" ? current.updatedAtMs : writtenAtMs,
        changed: age === "newest" ? this.#firstStamp() : kept,
        file,
      } satisfies DeclarationRecord,
      age === "pending",
    );
  }

  undeclare(name: string): void {
    this.#stage("declaration", name, null);
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

  setDirective(node: string, directive: NodeDirective["directive"] | null): void {
    this.#stage("directive", node, directive === null ? null : { directive });
  }

  /** Adds these writes, or none of them when one is refused. Returns the refusal. */
  attempt(write: (writer: CatalogWriter) => void): string | null {
    const before = new Map(this.#writes);
    write(this);
    this.refusal ??= this.#findLimit();
    const { refusal } = this;
    if (refusal === null) return null;
    this.refusal = null;
    this.#writes.clear();
    for (const [row, staged] of before) this.#writes.set(row, staged);
    return refusal;
  }

  /** Carries the writes out, or none of them. Returns the refusal. */
  commit(): string | null {
    this.refusal ??= this.#findLimit();
    if (this.refusal === null) for (const write of this.#writes.values()) this.#replica.write(write);
    return this.refusal;
  }

  #stage<K extends EntryKind>(kind: K, key: string, record: RecordOf[K] | null, isPending = false): void {
    if (this.refusal !== null) return;
    const wrongKey = checkKey(kind, key);
    const encoded = record === null || wrongKey !== null ? null : prepareRecord(kind, key, record);
    const problem = wrongKey ?? (encoded !== null && "problem" in encoded ? encoded.problem : null);
    if (problem !== null) this.refusal = `cannot write ${kind} ${key.replace("\0", " ")}: ${problem}`;
    else
      this.#writes.set(`${kind} ${key}`, {
        kind,
        key,
        encoded: encoded as EncodedRecord | null,
        isPending,
      });
  }

  #current<K extends EntryKind>(kind: K, key: string): RecordOf[K] | null {
    const staged = this.#writes.get(`${kind} ${key}`);
    if (staged !== undefined) return (staged.encoded?.record ?? null) as RecordOf[K] | null;
    const entry = this.#replica.table.get(kind, key, this.#replica.self);
    return (entry?.record ?? null) as RecordOf[K] | null;
  }

  /** A service is as old as the oldest of its definitions: that keeps its ports when another node takes it over. */
  #createdOf(name: string, current: ServiceRecord | null, nowMs: number): FirstWrite {
    for (const known of [current, this.#firstWriteOf(name)]) {
      if (known !== null && known.created.counter < YOUNGEST_COUNTER) {
        return { created: known.created, createdAtMs: known.createdAtMs };
      }
    }
    return { created: this.#firstStamp(), createdAtMs: current?.createdAtMs ?? nowMs };
  }

  #firstStamp(): Stamp {
    return { counter: this.#replica.counter + 1, node: this.#replica.self };
  }

  #findLimit(): string | null {
    const { table, self } = this.#replica;
    const own = { declaration: 0, task: 0 };
    for (const entry of table.rowsOf(self)?.values() ?? []) {
      const { kind } = entry;
      if ((kind === "declaration" || kind === "task") && !isTombstone(entry)) own[kind]++;
    }
    return (
      this.#passes("service", table.liveSharedCount("service"), MAX_SERVICES, "services") ??
      this.#passes("directive", table.liveSharedCount("directive"), MAX_DIRECTIVES, "directives") ??
      this.#passes("declaration", own.declaration, MAX_DECLARATIONS_PER_NODE, "services in the file") ??
      this.#passes("task", own.task, MAX_TASKS_PER_NODE, "tasks on this node")
    );
  }

  /** Only growth is refused: above the limit, records may still be changed and removed. */
  #passes(kind: EntryKind, count: number, limit: number, what: string): string | null {
    let after = count;
    for (const write of this.#writes.values()) {
      if (write.kind !== kind) continue;
      const entry = this.#replica.table.get(kind, write.key, this.#replica.self);
      const exists = entry !== undefined && !isTombstone(entry);
      after += Number(write.encoded !== null) - Number(exists);
    }
    if (after <= limit || after <= count) return null;
    return `cannot write ${kind}: ${after} ${what}: at most ${limit} are allowed`;
  }
}
