/**
 * The catalog of one node: the replicated table of services, tasks, nodes and directives, its readers and writers, and
 * the messages it exchanges with the catalogs of other nodes. Synchronous: no sockets, clock or randomness of its own.
 * The caller passes in bytes, names and the time, and carries out the effects it returns.
 *
 * Life of a write: transaction → replica (stamp, table) → broadcast queue → gossip; anti-entropy finds what gossip missed.
 */

import type { ServiceSpec } from "../model/index.ts";
import { AntiEntropy, type Effect } from "./anti-entropy.ts";
import type { Conflict } from "./conflicts.ts";
import type { Definition, VisibleService } from "./definitions.ts";
import type { Overwritten } from "./overwritten.ts";
import type { DeclarationRecord, NodeDirective, NodeRecord, TaskRecord } from "./records.ts";
import { Replica, type UnreadableRecord, type WriteError } from "./replica.ts";
import { type CatalogState, type Restored, readSnapshot, writeSnapshot } from "./snapshot.ts";
import { decodeMessage, type Malformed } from "./sync-messages.ts";
import { type CatalogWriter, type Declaration, Transaction } from "./transaction.ts";
import { Visible, type VisibleNode, type VisibleTask } from "./visible.ts";

/** Counted since the start. */
export interface CatalogCounters {
  /** Messages that could not be read. */
  readonly malformed: Readonly<Record<Malformed, number>>;
  /** Entries from others that were not taken. */
  readonly refused: Readonly<Record<WriteError, number>>;
  /** Rounds of anti-entropy this node has led to the end, and those that got no answer. */
  readonly syncs: { readonly finished: number; readonly timedOut: number };
}

type Write = (writer: CatalogWriter) => void;

export class Catalog {
  readonly #replica: Replica;
  readonly #visible: Visible;
  readonly #antiEntropy: AntiEntropy;
  readonly #malformed: Record<Malformed, number> = { type: 0, version: 0, malformed: 0 };

  /** `self`: this node's name, as membership announces it. */
  constructor(readonly self: string) {
    this.#replica = new Replica(self);
    this.#visible = new Visible(this.#replica);
    this.#antiEntropy = new AntiEntropy(this.#replica);
  }

  // Readers

  /** Rises when what the readers below return has changed. */
  get revision(): number {
    return this.#replica.revision;
  }

  /** Ascending by name. */
  services(): ReadonlyMap<string, VisibleService> {
    return this.#visible.current().services;
  }

  /** Changes of the service by command that were lost to others, as far as this node has seen them; newest last. */
  overwrittenOf(service: string): readonly Overwritten[] {
    return this.#replica.overwritten.of(service);
  }

  /** One record of each node that writes records of a newer version, once. */
  takeUnreadable(): readonly UnreadableRecord[] {
    return this.#replica.takeUnreadable();
  }

  /** Those of all services that were seen since it was asked last. */
  takeOverwritten(): readonly Overwritten[] {
    return this.#replica.overwritten.takeNews();
  }

  /** Of this node's file. */
  ownDeclarations(): ReadonlyMap<string, DeclarationRecord> {
    return this.#visible.current().ownDeclarations;
  }

  /** services() as they would be with these declarations of this node; null takes one away. */
  servicesWith(
    changes: ReadonlyMap<string, Pick<Definition, "file" | "spec" | "changed" | "updatedAtMs"> | null>,
  ): ReadonlyMap<string, VisibleService> {
    return this.#visible.servicesWith(changes);
  }

  /** Of live nodes, ascending by service, owner and name; also of services that do not exist. */
  tasks(): readonly VisibleTask[] {
    return this.#visible.current().tasks;
  }

  tasksOf(service: string): readonly VisibleTask[] {
    return this.#visible.current().tasksOf.get(service) ?? [];
  }

  /** Live ones, this node included once it has written its record. */
  nodes(): ReadonlyMap<string, VisibleNode> {
    return this.#visible.current().nodes;
  }

  directiveOf(node: string): NodeDirective["directive"] | null {
    return this.#visible.current().directives.get(node)?.directive ?? null;
  }

  /** By service that has lost a port to an older one. */
  conflicts(): ReadonlyMap<string, readonly Conflict[]> {
    return this.#visible.conflicts();
  }

  // Writers: each returns why it was refused, or null

  transaction(write: Write): string | null {
    const transaction = this.#newTransaction();
    write(transaction);
    return transaction.commit();
  }

  /**
   * Groups of writes, each carried out whole or not at all: one that is refused holds no other up. Returns why, by
   * group. `isDryRun`: nothing is written.
   */
  transactions(groups: ReadonlyMap<string, Write>, isDryRun = false): ReadonlyMap<string, string> {
    const refusals = new Map<string, string>();
    const transaction = this.#newTransaction();
    const areAllAccepted =
      transaction.attempt((writer) => {
        for (const write of groups.values()) write(writer);
      }) === null;
    for (const [name, write] of areAllAccepted ? [] : groups) {
      const refusal = transaction.attempt(write);
      if (refusal !== null) refusals.set(name, refusal);
    }
    if (!isDryRun) transaction.commit();
    return refusals;
  }

  writeService(name: string, spec: ServiceSpec, nowMs: number): string | null {
    return this.transaction((writer) => writer.writeService(name, spec, nowMs));
  }

  removeService(name: string): string | null {
    return this.transaction((writer) => writer.removeService(name));
  }

  declare(declaration: Declaration, nowMs: number): string | null {
    return this.transaction((writer) => writer.declare(declaration, nowMs));
  }

  undeclare(name: string): string | null {
    return this.transaction((writer) => writer.undeclare(name));
  }

  writeTask(task: TaskRecord): string | null {
    return this.transaction((writer) => writer.writeTask(task));
  }

  removeTask(service: string, name: string): string | null {
    return this.transaction((writer) => writer.removeTask(service, name));
  }

  writeNode(record: NodeRecord): string | null {
    return this.transaction((writer) => writer.writeNode(record));
  }

  setDirective(node: string, directive: NodeDirective["directive"] | null): string | null {
    return this.transaction((writer) => writer.setDirective(node, directive));
  }

  // Membership

  /** All live members, this node included or not: records of any other owner are hidden. */
  setLive(names: Iterable<string>): void {
    this.#replica.setLive(names);
  }

  onMemberAlive(name: string): void {
    this.#replica.setLive([...this.#replica.owners.live, name]);
  }

  /** Dead or left. */
  onMemberFailed(name: string): void {
    this.#replica.setLive([...this.#replica.owners.live].filter((live) => live !== name));
  }

  // Dissemination

  /** A BroadcastSource of membership: payloads whose bytes and 3 more each fit into `budgetBytes`. */
  draw(budgetBytes: number, retransmitLimit: number): Uint8Array[] {
    return this.#replica.broadcasts.draw(budgetBytes, retransmitLimit, this.#replica.time.nowMs);
  }

  /** Whether something waits to be drawn. */
  get hasNews(): boolean {
    return this.#replica.broadcasts.length > 0;
  }

  /** A user message whose first byte is 10 or above, by UDP or TCP; `from`: who sent it, if that is known. */
  onMessage(from: string | null, payload: Uint8Array, nowMs: number): Effect[] {
    this.#replica.time.advance(nowMs);
    const message = decodeMessage(payload, this.#replica.time.nowMs);
    if (typeof message === "string") {
      this.#malformed[message]++;
      return [];
    }
    if (message.type === "updates") {
      for (const entry of message.entries) this.#replica.receive(entry, true);
      return [];
    }
    const isForeign = message.sender !== this.self && (from === null || from === message.sender);
    return isForeign ? this.#antiEntropy.onMessage(message) : [];
  }

  /** Equal on nodes whose tables are equal, whatever of them is hidden; short enough to compare by eye. */
  get fingerprint(): string {
    const { high, low } = this.#replica.table.rootHash;
    return [high, low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  // Anti-entropy

  /** What the user state of a push/pull exchange carries: under 200 bytes. */
  digest(): Uint8Array {
    return this.#antiEntropy.digest();
  }

  /**
   * The digest that came from the other side of a push/pull exchange. That side has ours: if they differ, the one with
   * the lower name answers.
   */
  onDigest(from: string | null, digest: Uint8Array, nowMs: number): Effect[] {
    const effects = this.onMessage(from, digest, nowMs);
    return effects.filter(({ to }) => this.self < to);
  }

  /** Call it a few times a second. `peers`: live nodes with a catalog, without this one. `random` is in [0, 1). */
  tick(nowMs: number, peers: readonly string[], random: () => number): Effect[] {
    this.#replica.time.advance(nowMs);
    this.#replica.reap();
    return this.#antiEntropy.tick(peers, random);
  }

  /** Whether another node has compared its table with ours since the start. */
  get hasSynced(): boolean {
    return this.#antiEntropy.hasSynced;
  }

  get counters(): CatalogCounters {
    return {
      malformed: { ...this.#malformed },
      refused: { ...this.#replica.refused },
      syncs: this.#antiEntropy.syncs,
    };
  }

  // Persistence

  /** Everything that must outlive the process, as text. `state` is the caller's part of it. */
  snapshot(state: CatalogState): string {
    return writeSnapshot(this.#replica, state);
  }

  /** Everything there is, for another process of this node: the records of live nodes too, which `snapshot` leaves to them. */
  wholeSnapshot(state: CatalogState): string {
    return writeSnapshot(this.#replica, state, true);
  }

  /** The snapshot as it would be after these writes, or why they are refused. Nothing is changed. */
  snapshotAfter(
    write: Write,
    state: CatalogState,
    nowMs: number,
  ): { readonly snapshot: string } | { readonly refusal: string } {
    const refusal = this.#newTransaction().attempt(write);
    if (refusal !== null) return { refusal };
    const later = new Catalog(this.self);
    later.restore(this.snapshot(state), nowMs);
    later.transaction(write);
    return { snapshot: later.snapshot(state) };
  }

  /** Before anything is written and before the first message. */
  restore(text: string, nowMs: number): Restored {
    this.#replica.time.advance(nowMs);
    return readSnapshot(this.#replica, text);
  }

  #newTransaction(): Transaction {
    return new Transaction(this.#replica, (service) => this.services().get(service) ?? null);
  }
}
