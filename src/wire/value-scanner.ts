/**
 * Finds where msgpack values end, without reading them and without recursion: it counts the values still to come.
 * An array of n adds n to the count, a map 2n. It remembers where it stopped, so bytes that arrive in pieces are
 * looked at once, however small the pieces are.
 */

/** "incomplete": all is well so far. */
export type ScanStatus = "incomplete" | "complete" | "malformed";

export class ValueScanner {
  #offset: number;
  #pending: number;
  #neededEnd: number;
  #valuesLeft: number;

  /** Scans `count` values that follow each other from `offset` on. More than `maxValues`, parts included, are malformed. */
  constructor(offset: number, count: number, maxValues = Number.POSITIVE_INFINITY) {
    this.#offset = offset;
    this.#pending = count;
    this.#valuesLeft = maxValues;
    this.#neededEnd = offset + count;
  }

  /** Index after the last value passed; after "complete" the end of them all. */
  get offset(): number {
    return this.#offset;
  }

  /** The least number of bytes there must be for the scan to complete, as far as is known: every value takes one. */
  get neededEnd(): number {
    return this.#neededEnd;
  }

  /** Goes on with bytes[…end), which begin with the bytes of the calls before. */
  scan(bytes: Uint8Array, end: number): ScanStatus {
    while (this.#pending > 0) {
      if (this.#pending > this.#valuesLeft) return "malformed";
      if (this.#offset >= end) return "incomplete";
      const descriptor = bytes[this.#offset]!;
      if (descriptor === UNASSIGNED) return "malformed";
      const headBytes = 1 + countBytes(descriptor);
      if (this.#offset + headBytes > end) return this.#await(headBytes);
      const count = readCount(bytes, this.#offset, descriptor);
      const tokenBytes = headBytes + (isContainer(descriptor) ? 0 : count);
      if (this.#offset + tokenBytes > end) return this.#await(tokenBytes);
      this.#offset += tokenBytes;
      this.#pending += childCount(descriptor, count) - 1;
      this.#valuesLeft--;
      this.#neededEnd = this.#offset + this.#pending;
    }
    return "complete";
  }

  #await(tokenBytes: number): ScanStatus {
    this.#neededEnd = this.#offset + tokenBytes + this.#pending - 1;
    return "incomplete";
  }
}

const UNASSIGNED = 0xc1;

function isFixMap(descriptor: number): boolean {
  return descriptor >= 0x80 && descriptor <= 0x8f;
}

function isMap(descriptor: number): boolean {
  return isFixMap(descriptor) || descriptor === 0xde || descriptor === 0xdf;
}

function isContainer(descriptor: number): boolean {
  return isMap(descriptor) || isFixArray(descriptor) || descriptor === 0xdc || descriptor === 0xdd;
}

function isFixArray(descriptor: number): boolean {
  return descriptor >= 0x90 && descriptor <= 0x9f;
}

function childCount(descriptor: number, count: number): number {
  if (!isContainer(descriptor)) return 0;
  return isMap(descriptor) ? 2 * count : count;
}

/** Width of the count behind the descriptor; 0 where the descriptor says it all. */
function countBytes(descriptor: number): 0 | 1 | 2 | 4 {
  switch (descriptor) {
    case 0xc4: // bin 8
    case 0xc7: // ext 8
    case 0xd9: // str 8
      return 1;
    case 0xc5: // bin 16
    case 0xc8: // ext 16
    case 0xda: // raw 16
    case 0xdc: // array 16
    case 0xde: // map 16
      return 2;
    case 0xc6: // bin 32
    case 0xc9: // ext 32
    case 0xdb: // raw 32
    case 0xdd: // array 32
    case 0xdf: // map 32
      return 4;
    default:
      return 0;
  }
}

/** Elements of a container, else bytes behind the head. */
function readCount(bytes: Uint8Array, offset: number, descriptor: number): number {
  const width = countBytes(descriptor);
  if (width === 0) return fixedCount(descriptor);
  let count = 0;
  for (let i = 1; i <= width; i++) count = count * 256 + bytes[offset + i]!;
  const isExtension = descriptor >= 0xc7 && descriptor <= 0xc9;
  return isExtension ? count + 1 : count; // and the extension's type
}

function fixedCount(descriptor: number): number {
  if (isFixMap(descriptor) || isFixArray(descriptor)) return descriptor & 0x0f;
  if (descriptor >= 0xa0 && descriptor <= 0xbf) return descriptor & 0x1f;
  if (descriptor === 0xca) return 4; // float 32
  if (descriptor === 0xcb) return 8; // float 64
  if (descriptor >= 0xcc && descriptor <= 0xcf) return 1 << (descriptor - 0xcc); // uint 8…64
  if (descriptor >= 0xd0 && descriptor <= 0xd3) return 1 << (descriptor - 0xd0); // int 8…64
  if (descriptor >= 0xd4 && descriptor <= 0xd8) return 1 + (1 << (descriptor - 0xd4)); // fixext 1…16, and its type
  return 0;
}
