/**
 * AES-256-GCM with a tag of 16 bytes [NIST SP 800-38D], one message at a time.
 *
 * The runtime makes an object for each message, which leaves a kilobyte to the garbage collector, and what its library
 * holds for it until then: of a short message that is most of what it costs. So those go to another library where there
 * is one. Long ones should be released: until they are collected, messages of 64 KiB amount to tens of mebibytes.
 */
import { type CipherGCM, createCipheriv, createDecipheriv } from "node:crypto";

export const GCM_TAG_BYTES = 16;
export const GCM_NONCE_BYTES = 12;
/** In a nonce. */
const COUNTER_AT = 4;

const ALGORITHM = "aes-256-gcm";
const OPTIONS = { authTagLength: GCM_TAG_BYTES } as const;

/** A message that is being sealed. What it gives is good until its maker's next message. */
export interface Sealing {
  /** Ciphertext of the next bytes, as long as they are. */
  update(plaintext: Uint8Array): Uint8Array;
  /** GCM_TAG_BYTES, behind everything else. */
  tag(): Uint8Array;
}

export interface GcmMaker {
  /**
   * @param key 32 bytes
   * @param nonce GCM_NONCE_BYTES, never again with this key
   * @param bound authenticated with it, in clear; null: nothing
   */
  startSeal(key: Uint8Array, nonce: Uint8Array, bound: Uint8Array | null): Sealing;
  /** The plaintext, good until the next message; null: it is not authentic. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    bound: Uint8Array | null,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Uint8Array | null;
}

/** For messages of up to `maxBytes`. */
export interface ShortGcmMaker extends GcmMaker {
  readonly maxBytes: number;
}

/** Shorter ones of the runtime's are in the collected heap. */
const RELEASED_BYTES = 2048;
/** The runtime's buffers are so much longer than what is in them, at most. */
const SPARE_BYTES = 16;

class RuntimeSealing implements Sealing {
  constructor(readonly cipher: CipherGCM) {}

  update(plaintext: Uint8Array): Uint8Array {
    return this.cipher.update(plaintext);
  }

  tag(): Uint8Array {
    this.cipher.final();
    return this.cipher.getAuthTag();
  }
}

const runtime: GcmMaker = {
  startSeal(key, nonce, bound) {
    const cipher = createCipheriv(ALGORITHM, key, nonce, OPTIONS);
    if (bound !== null) cipher.setAAD(bound);
    return new RuntimeSealing(cipher);
  },

  open(key, nonce, bound, ciphertext, tag) {
    const decipher = createDecipheriv(ALGORITHM, key, nonce, OPTIONS);
    if (bound !== null) decipher.setAAD(bound);
    decipher.setAuthTag(tag);
    const plaintext = decipher.update(ciphertext);
    try {
      decipher.final();
      return plaintext;
    } catch {
      return null;
    }
  },
};

/**
 * Nonces of 4 bytes and a counter of 64 bits, big-endian [NIST SP 800-38D §8.2.1], in one buffer: each is good until the
 * next one is made.
 */
class NonceBuilder {
  readonly #bytes = new Uint8Array(GCM_NONCE_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);

  /** Four zeros and the counter, up to 2^53. */
  ofCounter(counter: number): Uint8Array {
    this.#view.setUint32(0, 0);
    return this.#withCounter(counter);
  }

  /** Four zeros and a counter as it is in a packet: the 8 bytes at `at`. */
  ofPacketCounter(bytes: Uint8Array, at: number): Uint8Array {
    this.#view.setUint32(0, 0);
    for (let i = 0; i < 8; i++) this.#bytes[COUNTER_AT + i] = bytes[at + i]!;
    return this.#bytes;
  }

  /** The 4 bytes at `at` and the counter. */
  ofHeader(bytes: Uint8Array, at: number, counter: number): Uint8Array {
    for (let i = 0; i < COUNTER_AT; i++) this.#bytes[i] = bytes[at + i]!;
    return this.#withCounter(counter);
  }

  #withCounter(counter: number): Uint8Array {
    this.#view.setUint32(COUNTER_AT, Math.floor(counter / 2 ** 32));
    this.#view.setUint32(COUNTER_AT + 4, counter >>> 0);
    return this.#bytes;
  }
}

/** Belongs to one thread. */
export class Gcm {
  readonly nonce = new NonceBuilder();
  readonly #short: GcmMaker;
  readonly #maxShortBytes: number;

  /**
   * @param short null: the runtime does all
   * @param maxShortBytes of messages that go to `short`, if that takes so long ones
   */
  constructor(short: ShortGcmMaker | null, maxShortBytes = Number.POSITIVE_INFINITY) {
    this.#short = short ?? runtime;
    this.#maxShortBytes = Math.min(maxShortBytes, short?.maxBytes ?? 0);
  }

  /** Who seals or opens a message of so many bytes. */
  for(bytes: number): GcmMaker {
    return bytes <= this.#maxShortBytes ? this.#short : runtime;
  }
  /** Frees a long message that one of them has sealed or opened. It must not be used afterwards. */
  release(message: Uint8Array): void {
    if (message.length < RELEASED_BYTES || message.length <= this.#maxShortBytes) return;
    const buffer = message.buffer as ArrayBuffer;
    if (buffer.byteLength <= message.length + SPARE_BYTES) buffer.transfer(0);
  }
}
