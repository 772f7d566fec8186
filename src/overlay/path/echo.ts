/**
 * Probes between two nodes inside the overlay, and their answers, for drivers without control datagrams of their own.
 * They travel as UDP over IPv4 from overlay address to overlay address, so they are carried as all else is. Big-endian.
 *
 *      0       1       2        4          8                16                    20        36
 *     +-------+-------+--------+-+--------+----------------+---------------------+---------+------- - - -
 *     | type  | 1     | size   |u| id     | run            | sender's overlay    | tag     | zeros, in a
 *     |       |       |        | |        |                | address             |         | probe
 *     +-------+-------+--------+-+--------+----------------+---------------------+---------+------- - - -
 *
 *     type   1 probe, 2 answer: it repeats size, u, id and run, and is never longer than what it answers
 *     size   bytes of the probe's IP packet, with its headers of 28 bytes
 *     u      1 bit: the prober has tasks' traffic for the other node, so the path is in use in both directions
 *     run    random, the same as long as the prober runs: an answer to another run is none
 *     tag    HMAC-SHA-256, the first 16 bytes, of the first 20 bytes under a key made of the pair's secret; zeros
 *            where the pair has none. What follows it means nothing and is not read.
 */
import { Tagger } from "../../wire/index.ts";

const ECHO_VERSION = 1;
export const ECHO_PROBE = 1;
export const ECHO_ANSWER = 2;
export const ECHO_BYTES = 36;
export const RUN_BYTES = 8;
/** IPv4 and UDP headers of the inner packet: its size less its payload. */
export const ECHO_HEADERS_BYTES = 28;
const SIZE_AT = 2;
const ID_AT = 4;
const RUN_AT = 8;
const SENDER_AT = 16;
const TAG_AT = 20;
const TAG_BYTES = 16;
const IN_USE = 0x80000000;

export interface Echo {
  readonly type: typeof ECHO_PROBE | typeof ECHO_ANSWER;
  readonly size: number;
  /** 31 bits. */
  readonly id: number;
  /** The prober relays to the other node. */
  readonly isInUse: boolean;
  /** RUN_BYTES */
  readonly run: Uint8Array;
  /** 4 bytes */
  readonly sender: Uint8Array;
}

/** Reads the payload of a datagram; null: it is none of ours. Proves nothing about its sender. */
export function decodeEcho(bytes: Uint8Array): Echo | null {
  if (bytes.length < ECHO_BYTES || bytes[1] !== ECHO_VERSION) return null;
  const type = bytes[0]!;
  const size = (bytes[SIZE_AT]! << 8) | bytes[SIZE_AT + 1]!;
  const isWhole =
    type === ECHO_PROBE ? bytes.length === size - ECHO_HEADERS_BYTES : bytes.length === ECHO_BYTES;
  if ((type !== ECHO_PROBE && type !== ECHO_ANSWER) || !isWhole) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    type,
    size,
    id: view.getUint32(ID_AT) & ~IN_USE,
    isInUse: (bytes[ID_AT]! & 0x80) !== 0,
    run: bytes.slice(RUN_AT, RUN_AT + RUN_BYTES),
    sender: bytes.slice(SENDER_AT, TAG_AT),
  };
}

/** Writes the first ECHO_BYTES of `out`, with a tag of zeros. */
export function encodeEcho({ type, size, id, isInUse, run, sender }: Echo, out: Uint8Array): void {
  out.fill(0, 0, ECHO_BYTES);
  out[0] = type;
  out[1] = ECHO_VERSION;
  const view = new DataView(out.buffer, out.byteOffset);
  view.setUint16(SIZE_AT, size);
  view.setUint32(ID_AT, isInUse ? id | IN_USE : id);
  out.set(run, RUN_AT);
  out.set(sender, SENDER_AT);
}

/** Tags echoes to one peer and verifies those from it. */
export class EchoTagger {
  readonly #taggers: readonly Tagger[] | null;

  /** @param secrets of the pair, in hex: the first for sending, any for receiving; null: it has none */
  constructor(secrets: readonly string[] | null) {
    this.#taggers = secrets?.map(taggerOf) ?? null;
  }

  /** Writes the tag of an encoded echo. */
  write(bytes: Uint8Array): void {
    this.#taggers?.[0]?.write([bytes.subarray(0, TAG_AT)], bytes, TAG_AT);
  }

  /** Where the pair has a secret only a tag under one of its keys will do, where it has none only zeros. */
  matches(bytes: Uint8Array): boolean {
    const tagged = bytes.subarray(0, TAG_AT);
    if (this.#taggers !== null)
      return this.#taggers.some((tagger) => tagger.matches([tagged], bytes, TAG_AT));
    return bytes.subarray(TAG_AT, TAG_AT + TAG_BYTES).every((byte) => byte === 0);
  }
}

function taggerOf(secret: string): Tagger {
  const hasher = new Bun.CryptoHasher("sha256", Uint8Array.fromHex(secret));
  return new Tagger(hasher.update("portmesh path echo").digest());
}
