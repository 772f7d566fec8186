/**
 * The exit node's half of a relay's handshake. It keeps no state between a HELLO and its CONFIRM: that is in the cookie
 * of the challenge, which only a host that receives at its claimed source address can return.
 */
import {
  CHALLENGE_BYTES,
  deriveClearRelayKeys,
  deriveSealedRelayKeys,
  HandshakeTagger,
  NONCE_BYTES,
  PROOF_AT,
  RELAY_CHALLENGE,
  RELAY_CLEAR,
  RELAY_ENCRYPTED,
  RELAY_READY,
  type RelayDatagram,
  relayIdOf,
  SECOND_TAG_AT,
  Tagger,
  type UdpRelayKeys,
  writeHandshake,
  writeReadyTag,
} from "../../../wire/index.ts";
import type { OwnKeys } from "../../relay/own-key.ts";

/** A cookie is good for one to two of these. */
export const COOKIE_PERIOD_MS = 10_000;
const NO_NAME = new Uint8Array(0);

/** A relay whose entry node has proved its key: what READY says. */
export interface ConfirmedRelay {
  readonly relayId: Uint8Array;
  /** This worker's public key, which the keys are derived from; null: the relay is in clear. */
  readonly publicKey: Uint8Array | null;
  readonly nonce: Uint8Array;
  /** Which of the relay keys its entry node has. */
  readonly relayKey: Uint8Array;
  readonly keys: UdpRelayKeys;
}

export interface ExitHandshakeOptions {
  /** Name of this node. */
  readonly node: string;
  /** 32 bytes each; an entry node may use any of them. */
  readonly relayKeys: readonly Uint8Array[];
  readonly random: (bytes: number) => Uint8Array;
  readonly ownKeys: OwnKeys;
}

export class ExitHandshake {
  readonly #options: ExitHandshakeOptions;
  readonly #taggers: readonly HandshakeTagger[];
  readonly #cookies: Tagger;
  readonly #time = new Uint8Array(8);

  constructor(options: ExitHandshakeOptions) {
    this.#options = options;
    this.#taggers = options.relayKeys.map((key) => new HandshakeTagger(key, options.node));
    this.#cookies = new Tagger(options.random(32));
  }

  /**
   * Answers a HELLO of `length` bytes: writes the CHALLENGE to `out` and returns its length, 0 when the HELLO is not
   * authentic. `sender` is the address it came from, in any form that is the same for the CONFIRM; `nowMs` is
   * monotonic.
   */
  challenge(
    bytes: Uint8Array,
    { at, version }: RelayDatagram,
    length: number,
    sender: Uint8Array,
    nowMs: number,
    out: Uint8Array,
    outAt: number,
  ): number {
    if (this.#findTagger(bytes, at, length, PROOF_AT) === null) return 0;
    const relayId = relayIdOf(bytes, at);
    writeHandshake(RELAY_CHALLENGE, relayId, NO_NAME, out, outAt, version);
    this.#cookies.write(this.#cookieParts(relayId, sender, period(nowMs)), out, outAt + PROOF_AT);
    return CHALLENGE_BYTES;
  }

  /** The relay that a CONFIRM of `length` bytes proves; `stale`: authentic, but not the answer to a recent challenge of its sender. */
  confirm(
    bytes: Uint8Array,
    { at, version, headerAt, headerLength }: RelayDatagram,
    length: number,
    sender: Uint8Array,
    nowMs: number,
  ): ConfirmedRelay | "unauthentic" | "stale" {
    const tagger = this.#findTagger(bytes, at, length, SECOND_TAG_AT);
    if (tagger === null) return "unauthentic";
    const relayId = relayIdOf(bytes, at);
    if (!this.#isCookie(bytes, at + PROOF_AT, relayId, sender, nowMs)) return "stale";
    const nonce = this.#options.random(NONCE_BYTES);
    const { relayKey } = tagger;
    if (version === RELAY_CLEAR)
      return {
        relayId,
        publicKey: null,
        nonce,
        relayKey,
        keys: deriveClearRelayKeys(relayKey, relayId, nonce),
      };
    const entryPublicKey = bytes.slice(headerAt, headerAt + headerLength);
    return this.#sealed(relayId, nonce, relayKey, entryPublicKey, nowMs);
  }

  #sealed(
    relayId: Uint8Array,
    nonce: Uint8Array,
    relayKey: Uint8Array,
    entryPublicKey: Uint8Array,
    nowMs: number,
  ): ConfirmedRelay | "unauthentic" {
    const own = this.#options.ownKeys.current(nowMs);
    const secret = own.secretWith(entryPublicKey, relayKey);
    if (secret === null) return "unauthentic";
    const { publicKey } = own;
    const exchange = { relayId, nonce, entryPublicKey, exitPublicKey: publicKey };
    return { relayId, publicKey, nonce, relayKey, keys: deriveSealedRelayKeys(relayKey, secret, exchange) };
  }

  #findTagger(bytes: Uint8Array, at: number, length: number, tagAt: number): HandshakeTagger | null {
    return this.#taggers.find((tagger) => tagger.matches(bytes, at, length, tagAt)) ?? null;
  }

  #isCookie(bytes: Uint8Array, at: number, relayId: Uint8Array, sender: Uint8Array, nowMs: number): boolean {
    const now = period(nowMs);
    return [now, now - 1].some((time) =>
      this.#cookies.matches(this.#cookieParts(relayId, sender, time), bytes, at),
    );
  }

  /** Their lengths are fixed but for the last one's. */
  #cookieParts(relayId: Uint8Array, sender: Uint8Array, time: number): Uint8Array[] {
    new DataView(this.#time.buffer).setFloat64(0, time);
    return [this.#time, relayId, sender];
  }
}

/** The same for every CONFIRM of a relay; returns its length. */
export function writeReady(
  { relayId, nonce, keys, publicKey }: ConfirmedRelay,
  out: Uint8Array,
  at: number,
): number {
  const version = publicKey === null ? RELAY_CLEAR : RELAY_ENCRYPTED;
  const length = writeHandshake(RELAY_READY, relayId, publicKey ?? NO_NAME, out, at, version);
  out.set(nonce, at + PROOF_AT);
  writeReadyTag(keys.ready, out, at, length);
  return length;
}

function period(nowMs: number): number {
  return Math.floor(nowMs / COOKIE_PERIOD_MS);
}
