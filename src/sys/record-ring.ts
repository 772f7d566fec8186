/**
 * Records of varying length from one thread to another, over shared memory: one writer, one reader, no lock. The writer
 * never waits: a record that does not fit is counted and dropped.
 *
 *   header   int32   0 written   1 read   2 dropped        bytes of records written and read so far, modulo 2^32
 *   records  each    int32 length, a multiple of 8; then its content. A negative length skips to the start of the ring.
 *
 * The content begins 8 bytes after the length, so it may hold float64.
 */

const HEADER_BYTES = 64;
const WRITTEN = 0;
const READ = 1;
const DROPPED = 2;
const LENGTH_BYTES = 8;
const SKIP = -1;

/** @param capacity in bytes, a power of two */
export function createRing(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + capacity);
}

class Ring {
  readonly bytes: Uint8Array;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  readonly capacity: number;
  protected readonly header: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.capacity = shared.byteLength - HEADER_BYTES;
    this.header = new Int32Array(shared, 0, HEADER_BYTES / 4);
    this.bytes = new Uint8Array(shared, HEADER_BYTES);
    this.int32 = new Int32Array(shared, HEADER_BYTES);
    this.float64 = new Float64Array(shared, HEADER_BYTES);
  }
}

export class RingWriter extends Ring {
  #written: number;
  #next = 0;

  constructor(shared: SharedArrayBuffer) {
    super(shared);
    this.#written = this.header[WRITTEN]!;
  }

  /** Bytes that the reader has not taken. */
  get usedBytes(): number {
    return (this.#written - Atomics.load(this.header, READ)) >>> 0;
  }

  /**
   * Where in `bytes` a record of so many bytes may be written, for `commit` to hand over; -1: there is no room, and it is
   * counted as dropped.
   */
  reserve(contentBytes: number): number {
    const length = LENGTH_BYTES + ((contentBytes + 7) & ~7);
    const at = this.#written & (this.capacity - 1);
    const toEnd = this.capacity - at;
    const skipped = length > toEnd ? toEnd : 0;
    if (this.usedBytes + skipped + length > this.capacity) {
      Atomics.add(this.header, DROPPED, 1);
      return -1;
    }
    if (skipped > 0) this.int32[at / 4] = SKIP;
    const start = skipped > 0 ? 0 : at;
    this.int32[start / 4] = length;
    this.#next = (this.#written + skipped + length) | 0;
    return start + LENGTH_BYTES;
  }

  commit(): void {
    this.#written = this.#next;
    Atomics.store(this.header, WRITTEN, this.#next);
  }
}

export class RingReader extends Ring {
  /** The same bytes, to read text from. */
  readonly text = Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);

  /** Records dropped since the last call. */
  takeDropped(): number {
    return Atomics.exchange(this.header, DROPPED, 0);
  }

  /** Hands out up to `max` records; true: there are more. @param onRecord `at`: of its content in `bytes`, until it returns */
  take(max: number, onRecord: (at: number) => void): boolean {
    const written = Atomics.load(this.header, WRITTEN);
    let read = this.header[READ]!;
    let left = max;
    while (read !== written && left > 0) {
      const at = read & (this.capacity - 1);
      const length = this.int32[at / 4]!;
      if (length === SKIP) read = (read + this.capacity - at) | 0;
      else {
        onRecord(at + LENGTH_BYTES);
        read = (read + length) | 0;
        left--;
      }
      Atomics.store(this.header, READ, read);
    }
    return read !== written;
  }
}
