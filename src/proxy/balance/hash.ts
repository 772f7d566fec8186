/**
 * 32-bit hashes of clients and tasks for source-hash balancing. They decide where a client goes, so every node and
 * every version must compute the same: changing one moves clients. Not for adversaries: no key, no collision proof.
 * Mixing is MurmurHash3_x86_32 (Appleby), text is FNV-1a (Fowler, Noll, Vo) with Murmur's final mix.
 */
import { type IpFamily, isMappedIpv4 } from "../../wire/index.ts";

const FNV_OFFSET_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** uint32 of an address (not the port); a v4-mapped IPv6 address hashes like the IPv4 address. */
export function hashClient(family: IpFamily, bytes: Uint8Array, offset: number): number {
  if (family === 4) return finalMix(mixWord(0, wordAt(bytes, offset)) ^ 4);
  if (isMappedIpv4(bytes, offset)) return hashClient(4, bytes, offset + 12);
  let hash = 0;
  for (let i = 0; i < 16; i += 4) hash = mixWord(hash, wordAt(bytes, offset + i));
  return finalMix(hash ^ 16);
}

/** uint32 of the UTF-8 bytes of a text: for `Candidate.hash`. */
export function hashText(text: string): number {
  let hash = FNV_OFFSET_BASIS;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return finalMix(hash);
}

/** uint32 that looks independent for every pair of a client and a task. */
export function hashPair(clientHash: number, taskHash: number): number {
  return finalMix(mixWord(taskHash, clientHash) ^ 4);
}

/** The body step of Murmur3 for one 32-bit block. */
function mixWord(hash: number, word: number): number {
  const scrambled = Math.imul(rotateLeft(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotateLeft(hash ^ scrambled, 13), 5) + 0xe6546b64) | 0;
}

/** Murmur3's fmix32, as uint32. */
function finalMix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function wordAt(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
}
