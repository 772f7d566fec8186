/**
 * The sessions of one listening socket on their way to another process: one row of int32 words each, so that tens of
 * thousands are written and read within milliseconds.
 *
 *   length      of the row
 *   target      index in `targets`
 *   descriptor  its socket, -1: it has none (its task is on another node)
 *   port        its source port, 0: the kernel has picked it
 *   clientHash
 *   flags       rank, and whether it has sent and has been answered
 *   idleMs      since it last carried datagrams
 *   owed        answers that are still to come
 *   key         the rest
 */

const HEAD_WORDS = 8;
const FIRST_WORDS = 1024;
const DESCRIPTOR_AT = 2;
const PORT_AT = 3;
const RANK_MASK = 3;
const HAS_SENT = 4;
const IS_ANSWERED = 8;

export interface SessionRow {
  /** Index in the targets of its listener. */
  readonly target: number;
  readonly fd: number;
  readonly port: number;
  readonly clientHash: number;
  readonly rank: number;
  readonly hasSent: boolean;
  readonly isAnswered: boolean;
  readonly idleMs: number;
  readonly owed: number;
  readonly key: Int32Array;
}

/** Sessions on their way to another process. */
export interface HandedSessions {
  /** The tasks that they have, in words that mean the same there. */
  readonly targets: readonly string[];
  readonly rows: Int32Array;
}

export class SessionRowWriter {
  #words = new Int32Array(FIRST_WORDS);
  #length = 0;

  add(row: SessionRow): void {
    const length = HEAD_WORDS + row.key.length;
    if (this.#length + length > this.#words.length) this.#grow();
    const flags = row.rank | (row.hasSent ? HAS_SENT : 0) | (row.isAnswered ? IS_ANSWERED : 0);
    this.#words.set(
      [length, row.target, row.fd, row.port, row.clientHash, flags, row.idleMs, row.owed],
      this.#length,
    );
    this.#words.set(row.key, this.#length + HEAD_WORDS);
    this.#length += length;
  }

  get words(): Int32Array {
    return this.#words.slice(0, this.#length);
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
  }
}

export function* readSessionRows(words: Int32Array): Generator<SessionRow> {
  for (const at of rowsOf(words)) {
    const [length, target, fd, port, clientHash, flags, idleMs, owed] = words.subarray(at, at + HEAD_WORDS);
    yield {
      target: target!,
      fd: fd!,
      port: port!,
      clientHash: clientHash!,
      rank: flags! & RANK_MASK,
      hasSent: (flags! & HAS_SENT) !== 0,
      isAnswered: (flags! & IS_ANSWERED) !== 0,
      idleMs: idleMs!,
      owed: owed!,
      key: words.slice(at + HEAD_WORDS, at + length!),
    };
  }
}

/** Source ports; 0 for those that the kernel has picked, and of sessions without a socket. */
export function* portsOf(words: Int32Array): Generator<number> {
  for (const at of rowsOf(words)) yield words[at + PORT_AT]!;
}

/** The same rows with other descriptors: as numbers of another process, or as indices. Those below 0 stay. */
export function withDescriptors(words: Int32Array, change: (fd: number) => number): Int32Array {
  const changed = words.slice();
  for (const at of rowsOf(words)) {
    const fd = words[at + DESCRIPTOR_AT]!;
    if (fd >= 0) changed[at + DESCRIPTOR_AT] = change(fd);
  }
  return changed;
}

/** Where each begins. Throws RangeError when a row does not end within the words. */
function* rowsOf(words: Int32Array): Generator<number> {
  for (let at = 0; at < words.length; at += words[at]!) {
    const length = words[at]!;
    if (length < HEAD_WORDS || at + length > words.length) throw new RangeError("a session row is cut off");
    yield at;
  }
}
