/**
 * Entries waiting to travel with gossip: own writes first, what others wrote after them, so that a flood from elsewhere
 * holds nothing of ours up. Each entry goes out at most `retransmitLimit` times; a newer version of a row takes the
 * place of an older one. Whatever is too large for a packet, comes too late or finds no room is left to anti-entropy.
 */
import { type EntryHead, partitionOf } from "./entry.ts";
import { entryBytes } from "./entry-codec.ts";
import { rowId } from "./kinds.ts";
import { encodeUpdates, UPDATES_HEADER_BYTES } from "./sync-messages.ts";

/** What a packet spends on every payload besides the payload: compound length and user message type. */
export const PAYLOAD_OVERHEAD_BYTES = 3;
/** Fits into every gossip packet, however long label and encryption make its frame. */
const MAX_GOSSIP_ENTRY_BYTES = 1000;
/** Of each queue. At the limit the entries that were sent most often go. */
const MAX_QUEUED = 4096;
/** By then gossip has reached everybody it will reach. */
const MAX_WAIT_MS = 20_000;
/** How many entries are looked at for one packet before giving up on filling it. */
const MAX_MISSES = 32;

interface Queued {
  readonly entry: EntryHead;
  readonly row: string;
  readonly sizeBytes: number;
  readonly queuedAtMs: number;
}

export class BroadcastQueue {
  readonly #own = new RowQueue();
  readonly #relayed = new RowQueue();

  get length(): number {
    return this.#own.size + this.#relayed.size;
  }

  /** false: too large for a packet. */
  add(entry: EntryHead, isOwn: boolean, steadyMs: number): boolean {
    return this.#add(entry, isOwn, steadyMs, rowOf(entry));
  }

  /** A version that was lost to another one: that goes out, too. */
  addLost(entry: EntryHead, steadyMs: number): void {
    this.#add(entry, false, steadyMs, `${rowOf(entry)} ${entry.stamp.counter} ${entry.stamp.node}`);
  }

  #add(entry: EntryHead, isOwn: boolean, steadyMs: number, row: string): boolean {
    this.#own.delete(row);
    this.#relayed.delete(row);
    const sizeBytes = entryBytes(entry);
    if (sizeBytes > MAX_GOSSIP_ENTRY_BYTES) return false;
    const queue = isOwn ? this.#own : this.#relayed;
    queue.add({ entry, row, sizeBytes, queuedAtMs: steadyMs });
    return true;
  }

  /** At most one payload, of so many entries as fit. `budgetBytes` includes PAYLOAD_OVERHEAD_BYTES. */
  draw(budgetBytes: number, retransmitLimit: number, steadyMs: number): Uint8Array[] {
    const roomBytes = budgetBytes - PAYLOAD_OVERHEAD_BYTES - UPDATES_HEADER_BYTES;
    const own = this.#own.draw(roomBytes, retransmitLimit);
    const ownBytes = own.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const drawn = [...own, ...this.#relayed.draw(roomBytes - ownBytes, retransmitLimit)];
    if (drawn.length === 0) return [];
    return [
      encodeUpdates(
        drawn.map(({ entry }) => entry),
        steadyMs,
      ),
    ];
  }

  expire(steadyMs: number): void {
    this.#own.expire(steadyMs - MAX_WAIT_MS);
    this.#relayed.expire(steadyMs - MAX_WAIT_MS);
  }
}

function rowOf({ kind, key, stamp }: EntryHead): string {
  return `${partitionOf(kind, key, stamp.node)} ${rowId(kind, key)}`;
}

/** Rows by how often they have been sent: those sent least are next, among equals the first that came. */
class RowQueue {
  readonly #tiers: Map<string, Queued>[] = [new Map()];
  readonly #tierOf = new Map<string, number>();

  get size(): number {
    return this.#tierOf.size;
  }

  add(queued: Queued): void {
    if (this.#tierOf.size >= MAX_QUEUED) this.#dropMostSent();
    this.#tiers[0]!.set(queued.row, queued);
    this.#tierOf.set(queued.row, 0);
  }

  delete(row: string): void {
    const tier = this.#tierOf.get(row);
    if (tier === undefined) return;
    this.#tiers[tier]!.delete(row);
    this.#tierOf.delete(row);
  }

  draw(roomBytes: number, retransmitLimit: number): Queued[] {
    const drawn = this.#choose(roomBytes);
    for (const queued of drawn) {
      const sent = this.#tierOf.get(queued.row)! + 1;
      this.delete(queued.row);
      if (sent >= retransmitLimit) continue;
      const tier = (this.#tiers[sent] ??= new Map());
      tier.set(queued.row, queued);
      this.#tierOf.set(queued.row, sent);
    }
    return drawn;
  }

  expire(beforeMs: number): void {
    for (const tier of this.#tiers) {
      for (const { row, queuedAtMs } of tier.values()) if (queuedAtMs < beforeMs) this.delete(row);
    }
  }

  #choose(roomBytes: number): Queued[] {
    const chosen: Queued[] = [];
    let leftBytes = roomBytes;
    let misses = 0;
    for (const tier of this.#tiers) {
      for (const queued of tier.values()) {
        if (queued.sizeBytes <= leftBytes) {
          chosen.push(queued);
          leftBytes -= queued.sizeBytes;
        } else if (++misses >= MAX_MISSES) return chosen;
      }
    }
    return chosen;
  }

  #dropMostSent(): void {
    for (let tier = this.#tiers.length - 1; tier >= 0; tier--) {
      const [row] = this.#tiers[tier]!.keys();
      if (row !== undefined) return this.delete(row);
    }
  }
}
