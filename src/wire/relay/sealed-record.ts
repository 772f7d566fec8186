/**
 * Records: what a sealed relay connection consists of after its hello, in both directions. Big-endian.
 *
 *      0        1           4                   4 + n      20 + n
 *     +--------+-----------+-------------------+----------+
 *     | kind   | n         | n bytes, sealed   | tag 16   |      AES-256-GCM [SP 800-38D]
 *     +--------+-----------+-------------------+----------+
 *
 *     kind 1   bytes of the stream, 1…65536
 *     kind 2   end of stream, n = 0: the only thing that makes the end of a connection a clean one
 *
 * The nonce is the record's header and its number in its direction: a record that is changed, missing, repeated or out of
 * place does not open, and neither does any behind it. Each direction has a key of its own; after REKEY_RECORDS the next
 * one is made from it, and it is forgotten.
 *
 * A header in the nonce is as authentic as one beside it, and cheaper: what small records cost is the number of calls.
 */
import { GCM_TAG_BYTES, type Gcm } from "../aes-gcm.ts";

export const RECORD_STREAM = 1;
export const RECORD_END = 2;

export const RECORD_HEADER_BYTES = 4;
export const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + GCM_TAG_BYTES;
export const RECORD_MAX_PLAIN_BYTES = 64 * 1024;
export const RECORD_MAX_BYTES = RECORD_MAX_PLAIN_BYTES + RECORD_OVERHEAD_BYTES;

export const RECORD_KEY_BYTES = 32;

/** Below what NIST and RFC 8446 §5.5 advise for one key, and 256 GiB of full records. */
const REKEY_RECORDS = 2 ** 22;
const NEXT_KEY_LABEL = "portmesh next record key";

/** Length of the record whose header is at `at`, of which there are `length` bytes. 0: the header is incomplete; -1: it is invalid. */
export function recordLength(bytes: Uint8Array, at: number, length: number): number {
  if (length < RECORD_HEADER_BYTES) return 0;
  const plain = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const kind = bytes[at]!;
  if (kind === RECORD_STREAM && plain > 0 && plain <= RECORD_MAX_PLAIN_BYTES)
    return plain + RECORD_OVERHEAD_BYTES;
  return kind === RECORD_END && plain === 0 ? RECORD_OVERHEAD_BYTES : -1;
}

/** Key and number of the next record of one direction. There may be many, so it is small. */
abstract class RecordKey {
  #key: Uint8Array;
  #count = 0;
  readonly #recordsPerKey: number;

  /** @param key 32 bytes, used for nothing else */
  constructor(
    key: Uint8Array,
    protected readonly gcm: Gcm,
    recordsPerKey = REKEY_RECORDS,
  ) {
    this.#key = key;
    this.#recordsPerKey = recordsPerKey;
  }

  /** Of the next record. */
  protected get key(): Uint8Array {
    return this.#key;
  }

  /** The nonce of the next record, whose header is at `at`; good until the next nonce. Changes the key when it is time. */
  protected nextNonce(bytes: Uint8Array, at: number): Uint8Array {
    const count = this.#count++;
    if (count > 0 && count % this.#recordsPerKey === 0)
      this.#key = new Bun.CryptoHasher("sha256", this.#key).update(NEXT_KEY_LABEL).digest();
    return this.gcm.nonce.ofHeader(bytes, at, count);
  }
}

/** Writes the records of one direction. */
export class RecordSealer extends RecordKey {
  /** Seals bytes[at … at + length) into `out`, with room for RECORD_OVERHEAD_BYTES more; returns the record's length. */
  seal(kind: number, bytes: Uint8Array, at: number, length: number, out: Uint8Array, outAt: number): number {
    const plainAt = outAt + RECORD_HEADER_BYTES;
    out[outAt] = kind;
    out[outAt + 1] = length >> 16;
    out[outAt + 2] = length >> 8;
    out[outAt + 3] = length;
    const nonce = this.nextNonce(out, outAt);
    const sealing = this.gcm.for(length).startSeal(this.key, nonce, null);
    if (length > 0) {
      const sealed = sealing.update(bytes.subarray(at, at + length));
      out.set(sealed, plainAt);
      this.gcm.release(sealed);
    }
    out.set(sealing.tag(), plainAt + length);
    return length + RECORD_OVERHEAD_BYTES;
  }
}

/** Reads the records of one direction. */
export class RecordOpener extends RecordKey {
  /**
   * Opens the whole record at `at`, `length` as recordLength said; its plaintext goes to `out`, which may be the same
   * memory. false: it is not the next one of its sender; nothing is written, and no later record opens.
   */
  open(bytes: Uint8Array, at: number, length: number, out: Uint8Array, outAt: number): boolean {
    const plainAt = at + RECORD_HEADER_BYTES;
    const tagAt = at + length - GCM_TAG_BYTES;
    const ciphertext = bytes.subarray(plainAt, tagAt);
    const tag = bytes.subarray(tagAt, tagAt + GCM_TAG_BYTES);
    const nonce = this.nextNonce(bytes, at);
    const plain = this.gcm.for(ciphertext.length).open(this.key, nonce, null, ciphertext, tag);
    if (plain === null) return false;
    out.set(plain, outAt);
    this.gcm.release(plain);
    return true;
  }
}
