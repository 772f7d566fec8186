/**
 * Repairs what gossip has missed. From time to time a node sends the hash of its table to one other; if theirs differ the
 * other answers with the hashes of its partitions, and the first one (it "leads" the round) goes through those that
 * differ:
 *
 *     leader                                 other
 *       | -- root (UDP) ----------------------> |   equal: silence
 *       | <------------------------- parts ---- |
 *       | -- summary: my entries in these ----> |
 *       | <-- entries you lack; wanted: ... --- |   again until every differing partition is done
 *       | -- the wanted entries --------------> |
 *
 * A service carries the changes it has overwritten (overwritten.ts). For a while after one is found, each root carries it
 * to one other node too: gossip alone may miss some.
 *
 * Only the leader remembers anything, at most MAX_ROUNDS_LED rounds, each with a deadline; the other side just answers.
 */
import { compareTexts, type Entry, type EntryHash, fingerprintOf, ownerOf, ownerPartition } from "./entry.ts";
import { entryBytes } from "./entry-codec.ts";
import { DEAD_OWNER_LIFE_MS } from "./limits.ts";
import type { Replica } from "./replica.ts";
import {
  type Entries,
  encodeEntries,
  encodeParts,
  encodeRoot,
  encodeSummary,
  MAX_MESSAGE_BYTES,
  type Message,
  type Part,
  type PartitionSummary,
  type Parts,
  type Root,
  type Summary,
  type Updates,
} from "./sync-messages.ts";
import type { Partition } from "./table.ts";

export interface Effect {
  readonly kind: "send";
  /** Name of a node. */
  readonly to: string;
  readonly payload: Uint8Array;
  /** By TCP; else one datagram, which may be lost. */
  readonly reliable: boolean;
}

const IDLE_INTERVAL_MS = 5000;
/** For a while after something was learned this way, and until the first one has succeeded. */
const BUSY_INTERVAL_MS = 1000;
/** One lost datagram must not send a node that is behind back to sleep. */
const BUSY_TIME_MS = 3500;
/** Intervals vary by this part of themselves either way: nodes started together drift apart. */
const JITTER = 0.2;
/** Of a round without an answer. */
const ROUND_TIMEOUT_MS = 10_000;
const MAX_ROUNDS_LED = 3;
/** Summaries of one round: at a page each, more than any table has. */
const MAX_SUMMARIES = 512;
/** Rounds others may start with us in a second. */
const MAX_ANSWERED_PER_SECOND = 16;
/** Leaves room for the fields in front. */
const PAGE_BYTES = MAX_MESSAGE_BYTES - 1024;
const SUMMARY_BYTES = PAGE_BYTES / 2;
/** At once, to a node that lacks them; the rest has time until the next round. */
const MAX_PAGES_SENT = 8;
const FINGERPRINT_BYTES = 6;
const PART_OVERHEAD_BYTES = 24;
/** So few entries found by anti-entropy are news to more nodes than this one. */
const MAX_BROADCAST = 16;

interface Round {
  readonly peer: string;
  /** Partitions still to go through, with the other's hash. Bounded by the partitions of both. */
  readonly open: Map<string, EntryHash>;
  /** Those of the summary under way, in its order. */
  asked: readonly string[];
  request: number;
  summaries: number;
  deadlineMs: number;
}

export class AntiEntropy {
  readonly syncs = { finished: 0, timedOut: 0 };
  #hasSynced = false;
  readonly #replica: Replica;
  /** By peer; at most MAX_ROUNDS_LED. */
  readonly #rounds = new Map<string, Round>();
  #lastRequest = 0;
  #lastRootAtMs = Number.NEGATIVE_INFINITY;
  #jitter = 1;
  #busyUntilMs = 0;
  #answeredSinceMs = 0;
  #answered = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  get hasSynced(): boolean {
    return this.#hasSynced && this.#rounds.size === 0; // what one round leaves to another is still to come
  }

  digest(): Uint8Array {
    return this.#encodeRoot(false);
  }

  tick(peers: readonly string[], random: () => number): Effect[] {
    this.#dropLateRounds();
    if (peers.length === 0 || !this.#isDue()) return [];
    this.#lastRootAtMs = this.#nowMs;
    this.#jitter = 1 + JITTER * (2 * random() - 1);
    this.#replica.hasLargeNews = false;
    const to = peers[Math.floor(random() * peers.length)]!;
    const root: Effect = { kind: "send", to, payload: this.#encodeRoot(!this.#hasSynced), reliable: false };
    return [root, ...this.#sendEntries(to, this.#replica.recentlyLost())];
  }

  /** From another node than this one. */
  onMessage(message: Exclude<Message, Updates>): Effect[] {
    if (message.type !== "summary") this.#replica.witness(message.clock);
    switch (message.type) {
      case "root":
        return this.#onRoot(message);
      case "parts":
        return this.#onParts(message);
      case "summary":
        return [this.#answerSummary(message)];
      case "entries":
        return this.#onEntries(message);
    }
  }

  get #nowMs(): number {
    return this.#replica.time.nowMs;
  }

  #isDue(): boolean {
    if (this.#replica.hasLargeNews) return true;
    const isBusy = this.#nowMs < this.#busyUntilMs || !this.#hasSynced;
    const intervalMs = isBusy ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS;
    return this.#nowMs - this.#lastRootAtMs >= intervalMs * this.#jitter;
  }

  #encodeRoot(wantsAnswer: boolean): Uint8Array {
    const { self, counter, table } = this.#replica;
    return encodeRoot({ sender: self, clock: counter, wantsAnswer, hash: table.rootHash });
  }

  #onRoot(root: Root): Effect[] {
    if (areEqual(root.hash, this.#replica.table.rootHash)) {
      this.#hasSynced = true;
      if (!root.wantsAnswer) return [];
      return [{ kind: "send", to: root.sender, payload: this.#encodeRoot(false), reliable: false }];
    }
    return this.#mayAnswer() ? this.#sendParts(root.sender) : [];
  }

  #mayAnswer(): boolean {
    if (this.#nowMs - this.#answeredSinceMs >= 1000) {
      this.#answeredSinceMs = this.#nowMs;
      this.#answered = 0;
    }
    return this.#answered++ < MAX_ANSWERED_PER_SECOND;
  }

  #sendParts(to: string): Effect[] {
    const { self, counter, table } = this.#replica;
    const parts = [
      ...[...table.partitions.values()].map((partition) => this.#partOf(partition)),
      ...this.#forgotten(),
    ].sort((a, b) => compareTexts(a.id, b.id));
    const pages = paged(parts, (part) => part.id.length + PART_OVERHEAD_BYTES);
    return pages.map((page, index) => {
      const after = pages[index - 1]?.at(-1)?.id ?? "";
      const through = index === pages.length - 1 ? "" : page.at(-1)!.id;
      const payload = encodeParts({ sender: self, clock: counter, after, through, parts: page });
      return { kind: "send", to, payload, reliable: true };
    });
  }

  #partOf({ id, owner, hash }: Partition): Part {
    const { owners } = this.#replica;
    const deadForMs = owner === null || owners.isLive(owner) ? 0 : owners.deadForMs(owner, this.#nowMs);
    return { id, hash, deadForS: Math.ceil(deadForMs / 1000) };
  }

  /** As partitions that are empty, of owners dead for longer than their records are kept: a node that was away obeys. */
  #forgotten(): Part[] {
    const { owners, table } = this.#replica;
    const deadForS = Math.ceil(DEAD_OWNER_LIFE_MS / 1000);
    return owners
      .forgottenDeclarers(this.#nowMs)
      .map((owner) => ({ id: ownerPartition(owner), hash: EMPTY, deadForS }))
      .filter(({ id }) => table.partition(id) === undefined);
  }

  #onParts(parts: Parts): Effect[] {
    const open = this.#findDifferences(parts);
    const round = this.#rounds.get(parts.sender);
    if (round !== undefined) {
      for (const [id, hash] of open) round.open.set(id, hash); // a further page, or newer hashes
      return [];
    }
    if (open.size === 0) this.#hasSynced = true; // what differs is forgotten here, and soon there
    if (open.size === 0 || this.#rounds.size >= MAX_ROUNDS_LED) return [];
    const started: Round = {
      peer: parts.sender,
      open,
      asked: [],
      request: 0,
      summaries: 0,
      deadlineMs: 0,
    };
    this.#rounds.set(started.peer, started);
    return this.#sendSummary(started);
  }

  #findDifferences({ parts, after, through }: Parts): Map<string, EntryHash> {
    const { table, owners } = this.#replica;
    const open = new Map<string, EntryHash>();
    const theirs = new Set<string>();
    for (const { id, hash, deadForS } of parts) {
      theirs.add(id);
      const owner = ownerOf(id);
      const ours = table.partition(id);
      const isForgottenThere = deadForS > 0 && areEqual(hash, EMPTY);
      if (owner !== null && deadForS > 0 && (ours !== undefined || !isForgottenThere)) {
        owners.noticeDeadFor(owner, deadForS * 1000, this.#nowMs);
      }
      if (isForgottenThere) continue;
      const isGone = ours === undefined && owner !== null && this.#replica.hasForgotten(owner);
      if (!isGone && !areEqual(hash, ours?.hash ?? EMPTY)) open.set(id, hash);
    }
    for (const id of table.partitions.keys()) {
      if (id > after && (through === "" || id <= through) && !theirs.has(id)) open.set(id, EMPTY);
    }
    return open;
  }

  /** The next summary of a round, or its end. */
  #sendSummary(round: Round): Effect[] {
    const partitions = this.#nextBatch(round);
    if (partitions.length === 0 || round.summaries >= MAX_SUMMARIES) {
      this.#finish(round);
      return [];
    }
    round.asked = partitions.map(({ id }) => id);
    round.request = ++this.#lastRequest;
    round.summaries++;
    round.deadlineMs = this.#nowMs + ROUND_TIMEOUT_MS;
    const payload = encodeSummary({ sender: this.#replica.self, request: round.request, partitions });
    return [{ kind: "send", to: round.peer, payload, reliable: true }];
  }

  /** Open partitions that still differ and that no other round is asking for. */
  #nextBatch(round: Round): PartitionSummary[] {
    const elsewhere = new Set(
      [...this.#rounds.values()].flatMap((other) => (other === round ? [] : other.asked)),
    );
    const batch: PartitionSummary[] = [];
    let sizeBytes = 0;
    for (const [id, hash] of round.open) {
      const partition = this.#replica.table.partition(id);
      if (elsewhere.has(id) || areEqual(partition?.hash ?? EMPTY, hash)) {
        round.open.delete(id);
        continue;
      }
      const rows = partition?.rows.size ?? 0;
      sizeBytes += id.length + PART_OVERHEAD_BYTES + rows * FINGERPRINT_BYTES;
      if (batch.length > 0 && sizeBytes > SUMMARY_BYTES) break;
      const fingerprints = [...(partition?.rows.values() ?? [])].map((entry) => fingerprintOf(entry.hash));
      batch.push({ id, fingerprints });
    }
    return batch;
  }

  /** Entries the leader lacks, as many as fit, and which of its entries we lack, for the partitions done with. */
  #answerSummary({ sender, request, partitions }: Summary): Effect {
    const { self, counter } = this.#replica;
    const entries: Entry[] = [];
    const wanted: number[] = [];
    let doneCount = 0;
    let roomBytes = PAGE_BYTES;
    for (const summary of partitions) {
      const missing = this.#compare(summary);
      const wantedBytes = missing.here.length * FINGERPRINT_BYTES;
      if (wantedBytes > roomBytes) break;
      let fits = 0;
      while (fits < missing.there.length && entryBytes(missing.there[fits]!) + wantedBytes <= roomBytes) {
        const entry = missing.there[fits++]!;
        entries.push(entry);
        roomBytes -= entryBytes(entry);
      }
      if (fits < missing.there.length) break;
      wanted.push(...missing.here);
      roomBytes -= wantedBytes;
      doneCount++;
    }
    for (const lost of entries.flatMap((entry) => this.#replica.lostTo(entry))) {
      roomBytes -= entryBytes(lost);
      if (roomBytes >= 0) entries.push(lost);
    }
    const isOwnComplete = partitions.slice(0, doneCount).some(({ id }) => id === ownerPartition(self));
    const answer = { sender: self, clock: counter, request, doneCount, isOwnComplete, wanted, entries };
    return { kind: "send", to: sender, payload: encodeEntries(answer, this.#nowMs), reliable: true };
  }

  #compare({ id, fingerprints }: PartitionSummary): { there: Entry[]; here: number[] } {
    const theirs = new Set(fingerprints);
    const there: Entry[] = [];
    for (const entry of this.#replica.table.partition(id)?.rows.values() ?? []) {
      if (!theirs.delete(fingerprintOf(entry.hash))) there.push(entry);
    }
    const owner = ownerOf(id);
    const isGone = owner !== null && this.#replica.hasForgotten(owner);
    return { there, here: isGone ? [] : [...theirs] };
  }

  #onEntries(message: Entries): Effect[] {
    const isBroadcast = message.entries.length <= MAX_BROADCAST;
    const outcomes = message.entries.map((entry) => this.#replica.receive(entry, isBroadcast));
    const hasLearned = outcomes.includes("learned");
    if (hasLearned) this.#stayBusy();
    const round = this.#rounds.get(message.sender);
    if (round === undefined || message.request !== round.request) return [];
    const done = round.asked.slice(0, message.doneCount);
    for (const id of done) round.open.delete(id);
    if (done.length === 0 && !hasLearned) round.open.delete(round.asked[0]!); // it brings us no further
    const wanted = this.#collectWanted(message, done);
    round.asked = [];
    const lost = wanted.flatMap((entry) => this.#replica.lostTo(entry));
    return [...this.#sendEntries(round.peer, [...wanted, ...lost]), ...this.#sendSummary(round)];
  }

  /**
   * What the other node lacks. If it is the owner and has listed all it has, these rows are no longer its own:
   * it gets them once more, to bury them for everybody, and here they are dropped at once.
   */
  #collectWanted(message: Entries, done: readonly string[]): Entry[] {
    const fingerprints = new Set(message.wanted);
    if (fingerprints.size === 0) return [];
    const wanted: Entry[] = [];
    for (const id of done) {
      const isComplete = message.isOwnComplete && id === ownerPartition(message.sender);
      for (const entry of [...(this.#replica.table.partition(id)?.rows.values() ?? [])]) {
        if (!fingerprints.has(fingerprintOf(entry.hash))) continue;
        wanted.push(entry);
        if (isComplete) this.#replica.disown(message.sender, entry);
      }
    }
    return wanted;
  }

  #sendEntries(to: string, entries: readonly Entry[]): Effect[] {
    if (entries.length === 0) return [];
    const { self, counter } = this.#replica;
    const head = { sender: self, clock: counter, request: 0, doneCount: 0, isOwnComplete: false, wanted: [] };
    return paged(entries, entryBytes)
      .slice(0, MAX_PAGES_SENT)
      .map((page) => ({
        kind: "send",
        to,
        payload: encodeEntries({ ...head, entries: page }, this.#nowMs),
        reliable: true,
      }));
  }

  #finish(round: Round): void {
    this.#rounds.delete(round.peer);
    this.#hasSynced = true;
    this.syncs.finished++;
  }

  #stayBusy(): void {
    this.#busyUntilMs = this.#nowMs + BUSY_TIME_MS;
  }

  #dropLateRounds(): void {
    for (const round of this.#rounds.values()) {
      if (round.deadlineMs > this.#nowMs) continue;
      this.#rounds.delete(round.peer);
      this.syncs.timedOut++;
    }
  }
}

const EMPTY: EntryHash = { high: 0, low: 0 };

function areEqual(one: EntryHash, other: EntryHash): boolean {
  return one.high === other.high && one.low === other.low;
}

/** At least one page; no item is larger than a page. */
function paged<T>(items: readonly T[], sizeOf: (item: T) => number): T[][] {
  const pages: T[][] = [[]];
  let roomBytes = PAGE_BYTES;
  for (const item of items) {
    const sizeBytes = sizeOf(item);
    if (sizeBytes > roomBytes && pages.at(-1)!.length > 0) {
      pages.push([]);
      roomBytes = PAGE_BYTES;
    }
    pages.at(-1)!.push(item);
    roomBytes -= sizeBytes;
  }
  return pages;
}
