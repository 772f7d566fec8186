/**
 * Catalogs in a network that exists in memory: virtual time, seeded loss, delay (so also reordering) and partitions.
 * Membership is played too: everybody learns a moment later who is alive, gossip is drawn every 200 ms for 3 peers.
 */
import { Catalog, type Effect } from "../../../src/catalog/index.ts";
import type { Seeded } from "../random/seed.ts";

const STEP_MS = 50;
const GOSSIP_INTERVAL_MS = 200;
const GOSSIP_NODES = 3;
const GOSSIP_BUDGET_BYTES = 1398;
const RETRANSMIT_MULT = 4;

export interface NetworkOptions {
  /** Of datagrams, 0…1. TCP arrives unless the two are apart. */
  readonly loss?: number;
  readonly maxDelayMs?: number;
}

interface Arrival {
  readonly to: string;
  readonly from: string;
  readonly payload: Uint8Array;
  readonly reliable: boolean;
}

export class CatalogNetwork {
  nowMs = 1_700_000_000_000;
  readonly catalogs = new Map<string, Catalog>();
  readonly bytes = { datagrams: 0, streams: 0 };
  /** What each node believes the time to be, besides `nowMs`. */
  readonly clockErrorMs = new Map<string, number>();
  readonly #seeded: Seeded;
  readonly #loss: number;
  readonly #maxDelayMs: number;
  readonly #peers = new Map<string, string[]>();
  readonly #arrivals = new Map<number, Arrival[]>();
  #side: (name: string) => unknown = () => 0;
  #step = 0;

  constructor(seeded: Seeded, { loss = 0, maxDelayMs = 0 }: NetworkOptions = {}) {
    this.#seeded = seeded;
    this.#loss = loss;
    this.#maxDelayMs = maxDelayMs;
  }

  get names(): string[] {
    return [...this.catalogs.keys()];
  }

  /** In place of one with the same name, which is gone then without a word. */
  start(name: string, catalog = new Catalog(name)): Catalog {
    this.catalogs.set(name, catalog);
    this.#refreshMembers();
    return catalog;
  }

  stop(name: string): void {
    this.catalogs.delete(name);
    this.#refreshMembers();
  }

  /** Nodes of different sides hear nothing of each other and think each other dead. */
  split(side: (name: string) => unknown): void {
    this.#side = side;
    this.#refreshMembers();
  }

  heal(): void {
    this.split(() => 0);
  }

  run(ms: number): void {
    for (let passed = 0; passed < ms; passed += STEP_MS) this.#advance();
  }

  /** Runs until it holds; the virtual milliseconds it took. */
  runUntil(holds: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs > limitMs) throw new Error(`does not hold after ${limitMs} ms`);
      this.#advance();
    }
    return this.nowMs - startMs;
  }

  hasConverged(): boolean {
    const [first, ...others] = [...this.catalogs.values()].map(rootHash);
    return others.every((hash) => hash === first);
  }

  /** Whether somebody still has something to gossip. */
  hasNews(): boolean {
    return [...this.catalogs.values()].some((catalog) => catalog.hasNews);
  }

  /** Time passes, and nothing else, not even ticks. */
  jump(ms: number): void {
    this.nowMs += ms;
  }

  timeOf(name: string): number {
    return this.nowMs + (this.clockErrorMs.get(name) ?? 0);
  }

  #advance(): void {
    this.nowMs += STEP_MS;
    this.#step++;
    for (const arrival of this.#take(this.#step)) this.#deliver(arrival);
    let turn = 0;
    for (const [name, catalog] of this.catalogs) {
      const peers = this.#peersOf(name);
      const effects = catalog.tick(this.timeOf(name), peers, this.#seeded.random);
      for (const effect of effects) this.#send(name, effect);
      if ((turn++ + this.#step) % (GOSSIP_INTERVAL_MS / STEP_MS) === 0) this.#gossip(name, catalog, peers);
    }
  }

  #gossip(name: string, catalog: Catalog, peers: readonly string[]): void {
    const retransmitLimit = RETRANSMIT_MULT * Math.ceil(Math.log10(this.catalogs.size + 1));
    for (let count = Math.min(GOSSIP_NODES, peers.length); count > 0; count--) {
      const to = this.#seeded.pick(peers);
      for (const payload of catalog.draw(GOSSIP_BUDGET_BYTES, retransmitLimit)) {
        if (payload.length > GOSSIP_BUDGET_BYTES) throw new Error(`${payload.length} bytes for a packet`);
        this.#send(name, { kind: "send", to, payload, reliable: false });
      }
    }
  }

  #send(from: string, { to, payload, reliable }: Effect): void {
    this.bytes[reliable ? "streams" : "datagrams"] += payload.length;
    if (!reliable && this.#seeded.random() < this.#loss) return;
    const step = this.#step + 1 + Math.floor((this.#seeded.random() * this.#maxDelayMs) / STEP_MS);
    const arrivals = this.#arrivals.get(step) ?? [];
    arrivals.push({ to, from, payload, reliable });
    this.#arrivals.set(step, arrivals);
  }

  #take(step: number): Arrival[] {
    const arrivals = this.#arrivals.get(step) ?? [];
    this.#arrivals.delete(step);
    return arrivals;
  }

  #deliver({ to, from, payload, reliable }: Arrival): void {
    const catalog = this.catalogs.get(to);
    if (catalog === undefined || this.#side(to) !== this.#side(from)) return;
    const sender = reliable ? from : null;
    for (const effect of catalog.onMessage(sender, payload, this.timeOf(to))) this.#send(to, effect);
  }

  #peersOf(name: string): string[] {
    return this.#peers.get(name) ?? [];
  }

  #refreshMembers(): void {
    for (const [name, catalog] of this.catalogs) {
      const peers = this.names.filter((other) => other !== name && this.#side(other) === this.#side(name));
      this.#peers.set(name, peers);
      catalog.setLive(peers);
    }
  }
}

/** Everything in the table, tombstones and hidden records included, as one text. */
export function rootHash(catalog: Catalog): string {
  return catalog.fingerprint;
}
