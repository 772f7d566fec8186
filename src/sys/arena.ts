/**
 * Memory that the kernel writes to: anonymous pages outside the JavaScript heap, so addresses stay valid.
 *
 * An arena belongs to one thread and is never freed; parts are handed out once, by `take`. Views of it are ordinary
 * typed arrays; system calls get `address(offset)`.
 */
import { type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { errno, SysError } from "./errno.ts";
import { libc } from "./libc.ts";

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MADV_DONTNEED = 4;
const CACHE_LINE = 64;
const PAGE_BYTES = libc.getpagesize();

export class Arena {
  readonly base: number;
  readonly bytes: Uint8Array;
  readonly int32: Int32Array;
  readonly view: DataView;
  #used = 0;

  /** @param size bytes; pages are backed by memory only once they are touched */
  constructor(size: number) {
    const base = libc.mmap(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    // MAP_FAILED is all ones
    if (base === null || base > Number.MAX_SAFE_INTEGER) throw new SysError("mmap", errno());
    this.base = base as number;
    const buffer = toArrayBuffer(base, 0, size);
    this.bytes = new Uint8Array(buffer);
    this.int32 = new Int32Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Hands out `size` bytes, zeroed and cache-line aligned; returns their offset. */
  take(size: number): number {
    const offset = this.#used;
    const end = offset + size;
    if (end > this.bytes.length) throw new RangeError(`arena of ${this.bytes.length} bytes is used up`);
    this.#used = Math.ceil(end / CACHE_LINE) * CACHE_LINE;
    return offset;
  }

  /** Returns the whole pages among these bytes to the system; they are zero from then on, and none of the others changes. */
  discard(offset: number, size: number): void {
    const from = Math.ceil((this.base + offset) / PAGE_BYTES) * PAGE_BYTES;
    const end = Math.floor((this.base + offset + size) / PAGE_BYTES) * PAGE_BYTES;
    if (from < end) libc.madvise(from as Pointer, end - from, MADV_DONTNEED);
  }

  address(offset: number): Pointer {
    return (this.base + offset) as Pointer;
  }
}

/** Shorter buffers of the runtime may be moved by it while the kernel uses them: they have to be copied to an arena. */
export const MOVABLE_BYTES = 2048;

/** Where a buffer of the runtime is; valid while it is referenced. It has MOVABLE_BYTES at least. */
export function addressOfLong(buffer: Uint8Array): number {
  if (buffer.length < MOVABLE_BYTES) throw new RangeError(`a buffer of ${buffer.length} bytes may be moved`);
  return ptr(buffer);
}

const SCRATCH_BYTES = 4096;

/** A few bytes of this thread for one call's arguments and results; the next call overwrites them. */
export const scratch = new Arena(SCRATCH_BYTES);
