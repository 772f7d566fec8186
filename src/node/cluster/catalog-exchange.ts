/**
 * Keeps this node's catalog equal to those of the other nodes: hands it what they send, compares it with theirs every
 * half second, pushes what this node has written to them ahead of gossip.
 */
import type { Catalog, Effect } from "../../catalog/index.ts";
import { type NodeClock, pause } from "../../sys/clock.ts";
import type { Reconciler } from "../facts/reconcile.ts";
import type { Members } from "./members.ts";

/** Half of the shortest interval at which catalogs are compared. */
const TICK_MS = 500;
/** How long a node that stops waits for the others to know, before it closes anything. */
const ANNOUNCE_MS = 1_000;
/** How long the start waits for the catalog of the others. */
const SYNC_MS = 3_000;
const POLL_MS = 20;
/** One packet, to every node of a cluster that is not large. */
const PUSH_BYTES = 1_200;
const MAX_PUSH_PEERS = 32;

export interface CatalogExchangeOptions {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  readonly clock: NodeClock;
  readonly random: () => number;
}

export class CatalogExchange {
  readonly #options: CatalogExchangeOptions;
  /** null: there are none, or not yet. */
  #members: Members | null = null;
  /** Number of writes of this node that have been pushed. */
  #pushed = 0;
  #isHurried = false;
  #cancelTick: () => void = () => undefined;

  constructor(options: CatalogExchangeOptions) {
    this.#options = options;
  }

  /** What to send because of a message. */
  onMessage(payload: Uint8Array): readonly Effect[] {
    return this.#step((catalog, nowMs) => catalog.onMessage(null, payload, nowMs));
  }

  /** What to send because of the digest of a push/pull. */
  onDigest(digest: Uint8Array): readonly Effect[] {
    return this.#step((catalog, nowMs) => catalog.onDigest(null, digest, nowMs));
  }

  /** From now on; null: there are no others. */
  start(members: Members | null): void {
    this.#members = members;
    this.#tick();
  }

  /** Pushes what this node has written since it was last called, so that the next command, on any node, builds on it. */
  push(writes: number): void {
    if (writes === this.#pushed) return;
    this.#pushed = writes;
    const { catalog, random } = this.#options;
    const peers = this.#peers;
    if (peers.length === 0) return;
    const first = Math.floor(random() * peers.length);
    const some = [...peers.slice(first), ...peers.slice(0, first)].slice(0, MAX_PUSH_PEERS);
    const payloads = catalog.draw(PUSH_BYTES, Number.POSITIVE_INFINITY);
    this.#members?.send(
      some.flatMap((to) =>
        payloads.map((payload) => ({ kind: "send" as const, to, payload, reliable: false })),
      ),
    );
  }

  /** Resolves when another node has compared its catalog with this one, or after a while. */
  async synced(): Promise<void> {
    await this.#waitWhile(() => !this.#options.catalog.hasSynced, SYNC_MS);
  }

  /** Resolves when the others should have what this node has written, or when it is hurried. */
  async announced(): Promise<void> {
    await this.#waitWhile(() => !this.#isHurried && this.#options.catalog.hasNews, ANNOUNCE_MS);
  }

  /** Ends `announced`, or the next one, at once. */
  hurry(): void {
    this.#isHurried = true;
  }

  close(): void {
    this.#cancelTick();
    this.#cancelTick = () => undefined;
  }

  get #peers(): readonly string[] {
    return this.#members?.peers() ?? [];
  }

  #tick(): void {
    const { clock, random } = this.#options;
    const effects = this.#step((catalog, nowMs) => catalog.tick(nowMs, this.#peers, random));
    this.#members?.send(effects);
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick());
  }

  #step(step: (catalog: Catalog, nowMs: number) => readonly Effect[]): readonly Effect[] {
    const { catalog, clock, reconciler } = this.#options;
    const effects = step(catalog, clock.nowMs());
    reconciler.learn({ catalogRevision: catalog.revision });
    return effects;
  }

  async #waitWhile(isOpen: () => boolean, atMostMs: number): Promise<void> {
    const { steady } = this.#options.clock;
    const endMs = steady.nowMs() + atMostMs;
    while (this.#peers.length > 0 && isOpen() && steady.nowMs() < endMs) await pause(steady, POLL_MS);
  }
}
