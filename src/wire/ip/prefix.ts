/**
 * Sets of CIDR prefixes for access rules: built once from text, asked for every connection without allocating.
 *
 * CIDR prefixes nest or are disjoint, never partly overlap. So a set keeps only those no other one contains, sorted
 * by network; the only candidate for an address is then the last network not above it, found by binary search.
 * v4-mapped IPv6 addresses and prefixes count as IPv4 (see ip-address.ts), hence ::/0 holds no IPv4 client.
 */
import { type IpFamily, isMappedIpv4, parseIp } from "./ip-address.ts";

export interface Prefix {
  readonly family: IpFamily;
  /** 4 or 16 bytes, network order, host bits cleared. */
  readonly network: Uint8Array;
  /** 0…32 or 0…128. */
  readonly lengthBits: number;
}

/** "10.0.0.0/8", "::1" (all bits); host bits are cleared. null when it is not a prefix. */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf("/");
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const width = address.bytes.length * 8;
  const lengthBits = slash < 0 ? width : parseLength(text.slice(slash + 1));
  if (lengthBits < 0 || lengthBits > width) return null;
  if (address.family === 6 && lengthBits >= 96 && isMappedIpv4(address.bytes, 0)) {
    return {
      family: 4,
      network: cleared(address.bytes.slice(12), lengthBits - 96),
      lengthBits: lengthBits - 96,
    };
  }
  return { family: address.family, network: cleared(address.bytes, lengthBits), lengthBits };
}

export function haveCommonAddress(one: Prefix, other: Prefix): boolean {
  if (one.family !== other.family) return false;
  return haveSameBits(one.network, 0, other.network, 0, Math.min(one.lengthBits, other.lengthBits));
}

export class PrefixSet {
  /** Every address of both families is in the set: the caller need not ask. */
  readonly matchesEverything: boolean;
  /** No address is in the set. */
  readonly isEmpty: boolean;
  readonly #ipv4: PrefixTable;
  readonly #ipv6: PrefixTable;

  /** Throws a RangeError that names the first invalid text; the configuration has checked them. */
  static from(texts: readonly string[]): PrefixSet {
    return new PrefixSet(
      texts.map((text) => {
        const prefix = parsePrefix(text);
        if (prefix === null)
          throw new RangeError(`cannot parse prefix: "${text}" is not an address or CIDR prefix`);
        return prefix;
      }),
    );
  }

  constructor(prefixes: readonly Prefix[]) {
    this.#ipv4 = new PrefixTable(
      4,
      prefixes.filter((prefix) => prefix.family === 4),
    );
    this.#ipv6 = new PrefixTable(
      16,
      prefixes.filter((prefix) => prefix.family === 6),
    );
    this.matchesEverything = this.#ipv4.isEverything && this.#ipv6.isEverything;
    this.isEmpty = prefixes.length === 0;
  }

  /** Whether the 4 or 16 address bytes at `offset` lie in a prefix of the set. O(log prefixes). */
  matches(family: IpFamily, bytes: Uint8Array, offset: number): boolean {
    if (family === 4) return this.#ipv4.contains(bytes, offset);
    if (isMappedIpv4(bytes, offset)) return this.#ipv4.contains(bytes, offset + 12);
    return this.#ipv6.contains(bytes, offset);
  }
}

/** Disjoint prefixes of one family, ascending. */
class PrefixTable {
  readonly isEverything: boolean;
  readonly #width: number;
  /** `width` bytes for each entry. */
  readonly #networks: Uint8Array;
  readonly #lengthsBits: Uint8Array;

  constructor(width: number, prefixes: readonly Prefix[]) {
    const outermost = withoutNested(prefixes, width);
    this.#width = width;
    this.#networks = new Uint8Array(outermost.length * width);
    this.#lengthsBits = Uint8Array.from(outermost, (prefix) => prefix.lengthBits);
    outermost.forEach((prefix, index) => {
      this.#networks.set(prefix.network, index * width);
    });
    this.isEverything = this.#lengthsBits[0] === 0;
  }

  contains(bytes: Uint8Array, offset: number): boolean {
    let low = 0;
    let high = this.#lengthsBits.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareBytes(this.#networks, middle * this.#width, bytes, offset, this.#width) <= 0)
        low = middle + 1;
      else high = middle;
    }
    if (low === 0) return false;
    return haveSameBits(this.#networks, (low - 1) * this.#width, bytes, offset, this.#lengthsBits[low - 1]!);
  }
}

function parseLength(text: string): number {
  return /^(0|[1-9]\d{0,2})$/.test(text) ? Number(text) : -1;
}

function cleared(network: Uint8Array, lengthBits: number): Uint8Array {
  return network.map((byte, index) => byte & maskByte(lengthBits - index * 8));
}

function withoutNested(prefixes: readonly Prefix[], width: number): Prefix[] {
  const ascending = [...prefixes].sort(
    (a, b) => compareBytes(a.network, 0, b.network, 0, width) || a.lengthBits - b.lengthBits,
  );
  const outermost: Prefix[] = [];
  for (const prefix of ascending) {
    const last = outermost.at(-1);
    if (last && haveSameBits(last.network, 0, prefix.network, 0, last.lengthBits)) continue;
    outermost.push(prefix);
  }
  return outermost;
}

function compareBytes(
  a: Uint8Array,
  aOffset: number,
  b: Uint8Array,
  bOffset: number,
  length: number,
): number {
  for (let i = 0; i < length; i++) {
    const difference = a[aOffset + i]! - b[bOffset + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function haveSameBits(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number, bits: number): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    if (((a[aOffset + i]! ^ b[bOffset + i]!) & maskByte(bits - i * 8)) !== 0) return false;
  }
  return true;
}

/** A byte whose first `bits` bits are set; all for 8 or more, none for 0 or fewer. */
function maskByte(bits: number): number {
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff00 >> bits) & 0xff;
}
