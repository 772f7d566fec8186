/**
 * What clients of services with limits per client have open, and how fast they come: one table in shared memory for all
 * workers and services, so a limit holds however the kernel spreads a client's connections. Its size is fixed.
 *
 *   set    8 entries and a lock; the hash of a key says which set
 *   entry  tag · address prefix · open · refused · when the rate allows the next client
 *
 * An entry stays as long as something of its client is open. A new client takes the entry that has been without clients for
 * longest; where all 8 have some open, it is served without limits, and counted: with as many clients as entries that
 * is rare, and a limit that refused strangers because of others would be worse.
 *
 * The rate is a token bucket that holds one period's worth, as the generic cell rate algorithm keeps it: by the time at
 * which the bucket is full again [ITU-T I.371 Annex A].
 */

const WAYS = 8;
const ENTRY_WORDS = 8;
/** Words of an entry; the address has four. */
const TAG = 0;
const ADDRESS = 1;
const OPEN = 5;
const REFUSED = 6;
const FREE = 0;
/** A lock is held for well under a microsecond, unless its thread has lost the processor. */
const SPINS = 200;
const LOCK_WAIT_MS = 1;

/** What `acquire` returns in the place of an entry. */
export const UNTRACKED = -1;
export const OVER_LIMIT = -2;
export const OVER_RATE = -3;

export interface ClientTableMemory {
  readonly words: Int32Array;
  /** One of each entry, on the clock of all workers. */
  readonly fullAtMs: Float64Array;
  /** One of each set. */
  readonly locks: Int32Array;
  /** Clients served without limits, because the table had no entry for them. */
  readonly untracked: Int32Array;
  /** Random, so that strangers cannot pick addresses of one set. */
  readonly seed: number;
}

/** @param entries a power of two */
export function createClientTable(entries: number, seed: number): ClientTableMemory {
  return {
    words: new Int32Array(new SharedArrayBuffer(entries * ENTRY_WORDS * 4)),
    fullAtMs: new Float64Array(new SharedArrayBuffer(entries * 8)),
    locks: new Int32Array(new SharedArrayBuffer((entries / WAYS) * 4)),
    untracked: new Int32Array(new SharedArrayBuffer(4)),
    seed,
  };
}

/** Of one service and protocol. */
export interface ClientLimit {
  /** Distinguishes services, protocols and families: never 0. */
  readonly tag: number;
  /** 0: any number. */
  readonly maxOpen: number;
  /** From one client to the next at the rate; 0: any rate. */
  readonly intervalMs: number;
  /** How many may come at once: at least 1. */
  readonly burst: number;
}

export class ClientTable {
  /** The address prefix of the client at hand, for `acquire`. */
  readonly address = new Int32Array(4);
  readonly #sets: number;

  constructor(readonly memory: ClientTableMemory) {
    this.#sets = memory.locks.length;
  }

  /**
   * One more of the client whose prefix is in `address`. The entry, to be released; or UNTRACKED, OVER_LIMIT, OVER_RATE.
   * @param isForced it is open already: it counts, whatever the limits
   */
  acquire(limit: ClientLimit, nowMs: number, isForced = false): number {
    const set = this.#setOf(limit.tag);
    this.#lock(set);
    const entry = this.#find(set, limit.tag, nowMs);
    const result = entry === UNTRACKED ? UNTRACKED : this.#take(entry, limit, nowMs, isForced);
    Atomics.store(this.memory.locks, set, 0);
    if (result === UNTRACKED) Atomics.add(this.memory.untracked, 0, 1);
    return result;
  }

  #take(entry: number, limit: ClientLimit, nowMs: number, isForced: boolean): number {
    const { words, fullAtMs } = this.memory;
    const at = entry * ENTRY_WORDS;
    const { maxOpen, intervalMs, burst } = limit;
    if (!isForced) {
      const isFull = maxOpen > 0 && Atomics.load(words, at + OPEN) >= maxOpen;
      const fromMs = Math.max(fullAtMs[entry]!, nowMs);
      const isTooFast = intervalMs > 0 && fromMs - nowMs > (burst - 1) * intervalMs;
      if (isFull || isTooFast) {
        words[at + REFUSED]!++;
        return isFull ? OVER_LIMIT : OVER_RATE;
      }
      fullAtMs[entry] = fromMs + intervalMs;
    }
    Atomics.add(words, at + OPEN, 1);
    return entry;
  }

  /** The client's entry, a new one if it has none; UNTRACKED: every entry of the set has clients. */
  #find(set: number, tag: number, nowMs: number): number {
    const { words, fullAtMs } = this.memory;
    let unused = UNTRACKED;
    const first = set * WAYS;
    for (let entry = first; entry < first + WAYS; entry++) {
      const at = entry * ENTRY_WORDS;
      if (words[at + TAG] === tag && this.#isAt(at)) return entry;
      if (Atomics.load(words, at + OPEN) !== 0) continue;
      if (words[at + TAG] === FREE) unused = unused !== UNTRACKED && isFree(words, unused) ? unused : entry;
      else if (unused === UNTRACKED) unused = entry;
      else if (!isFree(words, unused) && fullAtMs[entry]! < fullAtMs[unused]!) unused = entry;
    }
    if (unused === UNTRACKED) return UNTRACKED;
    const at = unused * ENTRY_WORDS;
    for (let i = 0; i < 4; i++) words[at + ADDRESS + i] = this.address[i]!;
    words[at + REFUSED] = 0;
    words[at + TAG] = tag;
    fullAtMs[unused] = nowMs;
    return unused;
  }

  #isAt(at: number): boolean {
    const { words } = this.memory;
    for (let i = 0; i < 4; i++) if (words[at + ADDRESS + i] !== this.address[i]) return false;
    return true;
  }

  #setOf(tag: number): number {
    let hash = Math.imul(tag ^ this.memory.seed, 0x9e3779b1);
    for (let i = 0; i < 4; i++) {
      hash = Math.imul(hash ^ this.address[i]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return (Math.imul(hash, 0xc2b2ae35) >>> 8) & (this.#sets - 1);
  }

  #lock(set: number): void {
    const { locks } = this.memory;
    for (let spins = 0; Atomics.compareExchange(locks, set, 0, 1) !== 0; spins++)
      if (spins >= SPINS) Atomics.wait(locks, set, 1, LOCK_WAIT_MS);
  }
}

/** One fewer. @param entry as `acquire` returned it */
export function releaseClient({ words }: ClientTableMemory, entry: number): void {
  Atomics.sub(words, entry * ENTRY_WORDS + OPEN, 1);
}

/** Of the main thread, without a lock: what it reads may be a moment old. */
export function forEachClient(
  { words }: ClientTableMemory,
  visit: (entry: number, tag: number, open: number, refused: number) => void,
): void {
  for (let at = 0; at < words.length; at += ENTRY_WORDS) {
    const tag = words[at + TAG]!;
    if (tag !== FREE) visit(at / ENTRY_WORDS, tag, words[at + OPEN]!, words[at + REFUSED]!);
  }
}

/** The address in network order: four bytes, or sixteen. */
export function readClient(
  { words }: ClientTableMemory,
  entry: number,
): { readonly tag: number; readonly address: Uint8Array } {
  const at = entry * ENTRY_WORDS;
  const bytes = new DataView(new ArrayBuffer(16));
  for (let i = 0; i < 4; i++) bytes.setInt32(i * 4, words[at + ADDRESS + i]!);
  return { tag: words[at + TAG]!, address: new Uint8Array(bytes.buffer) };
}

/** A service has left: what is known of its clients goes, before another gets its slot. None of them has anything open. */
export function forgetClients({ words }: ClientTableMemory, slot: number): void {
  for (let at = 0; at < words.length; at += ENTRY_WORDS) {
    const tag = words[at + TAG]!;
    if ((tag >> 2) - 1 === slot) Atomics.compareExchange(words, at + TAG, tag, FREE);
  }
}

function isFree(words: Int32Array, entry: number): boolean {
  return words[entry * ENTRY_WORDS + TAG] === FREE;
}
