/**
 * The Internet checksum [RFC 1071]: ones' complement sums of 16-bit words.
 *
 * Sums here are of little-endian words, whatever the format says: the sum is the same but for the order of its bytes
 * (§2 B), and it is stored in the order it was read. `foldSmall` brings a sum to 16 bits.
 */

/** To 16 bits, with end-around carry, of a sum below 2^31; 0 only for a sum of nothing but zeros. */
export function foldSmall(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** What 16 bits are a byte further on: their bytes change places. */
export function swap(sum: number): number {
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/** Of at most 60 bytes or so of headers, even in number, wherever they start. Not folded; below 2^31. */
export function sumHeader(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (let end = at + length; at < end; at += 2) sum += bytes[at]! | (bytes[at + 1]! << 8);
  return sum;
}

/**
 * Of up to 64 KiB, folded. `words` are the same memory as `bytes`, from the same start on.
 *
 * Per 32-bit word: all of them are summed modulo 2^32, and their upper halves exactly; the sum of the lower halves,
 * below 2^32, is what remains.
 */
export function sumBytes(bytes: Uint8Array, words: Int32Array, at: number, length: number): number {
  const end = at + length;
  if ((at & 1) === 1) {
    if (length === 0) return 0;
    const rest = sumBytes(bytes, words, at + 1, length - 1);
    return foldSmall(bytes[at]! + swap(rest));
  }
  let edges = 0;
  if ((at & 2) === 2 && at + 2 <= end) {
    edges = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
  }
  const firstWord = at >>> 2;
  const count = at < end ? (end - at) >>> 2 : 0;
  at += count << 2;
  if (at + 2 <= end) {
    edges += bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
  }
  if (at < end) edges += bytes[at]!;
  return foldSmall(edges + sumWords(words, firstWord, firstWord + count));
}

/** Folded. */
function sumWords(words: Int32Array, from: number, to: number): number {
  let all = 0;
  let high = 0;
  let i = from;
  for (const end = to - 7; i < end; i += 8) {
    const a = words[i]!;
    const b = words[i + 1]!;
    const c = words[i + 2]!;
    const d = words[i + 3]!;
    const e = words[i + 4]!;
    const f = words[i + 5]!;
    const g = words[i + 6]!;
    const h = words[i + 7]!;
    all = (all + ((((((a + b) | 0) + ((c + d) | 0)) | 0) + ((((e + f) | 0) + ((g + h) | 0)) | 0)) | 0)) | 0;
    high =
      (high +
        ((((a >>> 16) + (b >>> 16)) | 0) + (((c >>> 16) + (d >>> 16)) | 0)) +
        ((((e >>> 16) + (f >>> 16)) | 0) + (((g >>> 16) + (h >>> 16)) | 0))) |
      0;
  }
  for (; i < to; i++) {
    const word = words[i]!;
    all = (all + word) | 0;
    high = (high + (word >>> 16)) | 0;
  }
  const low = (all - (high << 16)) | 0;
  // each at most 2^31 as unsigned, and folded before they are added
  return (low & 0xffff) + (low >>> 16) + (high & 0xffff) + (high >>> 16);
}

/** A sum as it lies in a packet: the byte order of the words that were added. */
export function readSum(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function writeSum(sum: number, out: Uint8Array, at: number): void {
  out[at] = sum;
  out[at + 1] = sum >>> 8;
}
