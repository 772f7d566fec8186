/**
 * How two nodes agree on the keys of a sealed relay connection. The greeting is that of every relay connection
 * (`header.ts`); a hello takes the place of the clear header:
 *
 *     entry node                                                exit node
 *                  ◀── greeting: version 2, challenge 16, public key 32
 *       hello: 1, nonce 16, public key 32, proof 16        ──▶
 *       record: PROXY v2 header of the client, E0…E2       ──▶  checks, connects to its task
 *                  ◀── record: answer, 1 byte
 *       records                                           ◀──▶  records (`sealed-record.ts`)
 *
 *     proof    HMAC-SHA-256 by a relay key of a label, the exit node's name, the greeting and the hello before it,
 *              the first 16 bytes
 *     keys     HKDF-SHA-256 [RFC 5869] of the X25519 secret of the two public keys; salt: the same relay key; info: one
 *              label for each direction, the exit node's name, greeting and hello
 *
 * The exit node is proved by its answer, as the entry node sends no client data before that. An attacker who learns a
 * relay key later cannot open what was recorded: the private keys are gone by then. A hello is good for one greeting.
 */

import type { Gcm } from "../aes-gcm.ts";
import { Hkdf } from "../hkdf.ts";
import { TAG_BYTES } from "./datagram.ts";
import { GREETING_BYTES, RELAY_NONCE_BYTES, RELAY_PUBLIC_KEY_BYTES } from "./header.ts";
import { RECORD_KEY_BYTES, RecordOpener, RecordSealer } from "./sealed-record.ts";
import { Tagger } from "./tag.ts";

/** First byte of a hello; a PROXY header begins with another. */
export const RELAY_SEALED = 1;
const NONCE_AT = 1;
const PUBLIC_KEY_AT = NONCE_AT + RELAY_NONCE_BYTES;
const PROOF_AT = PUBLIC_KEY_AT + RELAY_PUBLIC_KEY_BYTES;
export const HELLO_BYTES = PROOF_AT + TAG_BYTES;

/** Both directions of a sealed relay connection, at one of its ends. */
export interface RecordKeys {
  readonly sealer: RecordSealer;
  readonly opener: RecordOpener;
}

/** Writes and checks hellos under one relay key, for the exit node of that name. */
export class HelloProver {
  readonly #tagger: Tagger;
  readonly #context: Uint8Array;

  constructor(
    readonly relayKey: Uint8Array,
    readonly exitNode: string,
  ) {
    this.#tagger = new Tagger(relayKey);
    this.#context = new TextEncoder().encode(`portmesh sealed tcp relay\0${exitNode}\0`);
  }

  /** Writes the hello that answers `greeting` and returns HELLO_BYTES. */
  write(greeting: Uint8Array, nonce: Uint8Array, publicKey: Uint8Array, out: Uint8Array, at: number): number {
    out[at] = RELAY_SEALED;
    out.set(nonce, at + NONCE_AT);
    out.set(publicKey, at + PUBLIC_KEY_AT);
    this.#tagger.write([this.#context, greeting, out.subarray(at, at + PROOF_AT)], out, at + PROOF_AT);
    return HELLO_BYTES;
  }

  /** Whether the HELLO_BYTES at `at` were written in answer to `greeting` by who has the key. */
  isProved(greeting: Uint8Array, bytes: Uint8Array, at: number): boolean {
    const parts = [this.#context, greeting, bytes.subarray(at, at + PROOF_AT)];
    return this.#tagger.matches(parts, bytes, at + PROOF_AT);
  }
}

/** The entry node's public key, a view. */
export function helloPublicKey(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at + PUBLIC_KEY_AT, at + PROOF_AT);
}

/** The exit node's public key, a view. */
export function greetingPublicKey(greeting: Uint8Array): Uint8Array {
  return greeting.subarray(GREETING_BYTES - RELAY_PUBLIC_KEY_BYTES, GREETING_BYTES);
}

/** What two workers share: makes the keys of each of their connections. */
export class PairSecret {
  readonly #hkdf: Hkdf;

  /**
   * @param secret of X25519
   * @param gcm seals and opens under the keys made of it
   */
  constructor(
    relayKey: Uint8Array,
    secret: Uint8Array,
    readonly gcm: Gcm,
  ) {
    this.#hkdf = new Hkdf(secret, relayKey);
  }

  /** @param side of whom these are; `hello` is HELLO_BYTES long */
  keysFor(side: "entry" | "exit", exitNode: string, greeting: Uint8Array, hello: Uint8Array): RecordKeys {
    const label = "portmesh sealed tcp relay";
    const toExit = this.derive(`${label} to exit\0${exitNode}\0`, greeting, hello);
    const toEntry = this.derive(`${label} to entry\0${exitNode}\0`, greeting, hello);
    const [own, other] = side === "entry" ? [toExit, toEntry] : [toEntry, toExit];
    return { sealer: new RecordSealer(own, this.gcm), opener: new RecordOpener(other, this.gcm) };
  }

  /** A key for what the label says and what both sides have said, the lengths of which are fixed. */
  derive(label: string, ...said: readonly Uint8Array[]): Uint8Array {
    return this.#hkdf.expand(RECORD_KEY_BYTES, label, ...said);
  }
}
