/**
 * The entry node's half of a relay's handshake: sends HELLO until challenged, CONFIRM until READY, and gives up after
 * some attempts. No sockets and no clock: its owner sends what `write` writes, first and when `onTimer` says so.
 */

import {
  COOKIE_BYTES,
  deriveClearRelayKeys,
  deriveReadyKey,
  deriveSealedRelayKeys,
  HandshakeTagger,
  isReadyTag,
  PROOF_AT,
  RELAY_CHALLENGE,
  RELAY_CLEAR,
  RELAY_CONFIRM,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_ID_BYTES,
  RELAY_READY,
  type RelayDatagram,
  readyNonce,
  relayIdOf,
  SECOND_TAG_AT,
  type UdpRelayKeys,
  writeHandshake,
} from "../../../wire/index.ts";
import type { OwnKey } from "../../relay/own-key.ts";
import { RelayChannel } from "./relay-channel.ts";

/** Between two attempts: those in use are few. */
const RETRIES_MS = [200, 400, 800, 1600, 2400];
/** The exit node keeps no state for a HELLO, so several may be in flight: datagrams get lost. */
const HELLOS_PER_ROUND_TRIP = 3;
/** Of a CONFIRM. A time to a CHALLENGE that is not known better is since the first HELLO: rather too long already. */
const SAMPLE_MARGIN = 1.2;
/** Then the peer counts as unreachable. */
const MAX_ATTEMPTS = 10;
/** A CONFIRM that is never answered has a cookie of before a restart: HELLO again. */
const MAX_CONFIRMS = 3;
/** Each shows that the peer is there: all attempts anew, for so many. */
const MAX_CHALLENGES = 4;

export interface EntryHandshakeOptions {
  /** Names of this node and of the other. */
  readonly entryNode: string;
  readonly exitNode: string;
  /** 32 bytes. */
  readonly relayKey: Uint8Array;
  /** This worker's, for a sealed relay; null: the relay is in clear. */
  readonly ownKey: OwnKey | null;
  /** To the exit node and back; 0: not known. */
  readonly rttMs: number;
  /** So many random bytes. */
  readonly random: (bytes: number) => Uint8Array;
}

export class EntryHandshake {
  readonly #options: EntryHandshakeOptions;
  readonly #tagger: HandshakeTagger;
  readonly #version: number;
  /** Of this node; or a public key, which is all that the other needs to know. */
  readonly #name: Uint8Array;
  #relayId: Uint8Array;
  #cookie: Uint8Array | null = null;
  #attempts = 1;
  #confirms = 0;
  #challenges = 0;
  readonly #startedMs: number;
  /** 0: there has been no CHALLENGE. */
  #challengedAfterMs = 0;
  /** The established relay, once READY has arrived. */
  channel: RelayChannel | null = null;

  constructor(options: EntryHandshakeOptions, nowMs: number) {
    this.#options = options;
    this.#startedMs = nowMs;
    this.#tagger = new HandshakeTagger(options.relayKey, options.exitNode);
    const { ownKey, entryNode } = options;
    this.#version = ownKey === null ? RELAY_CLEAR : RELAY_ENCRYPTED;
    this.#name = ownKey?.publicKey ?? new TextEncoder().encode(entryNode);
    this.#relayId = options.random(RELAY_ID_BYTES);
  }

  /** Writes the datagram to send now; returns its length. */
  write(out: Uint8Array, at: number): number {
    const cookie = this.#cookie;
    const length = writeHandshake(
      cookie === null ? RELAY_HELLO : RELAY_CONFIRM,
      this.#relayId,
      this.#name,
      out,
      at,
      this.#version,
    );
    if (cookie !== null) out.set(cookie, at + PROOF_AT);
    this.#tagger.write(out, at, length, cookie === null ? PROOF_AT : SECOND_TAG_AT);
    return length;
  }

  /** Between two attempts; one of RETRIES_MS. */
  get retryMs(): number {
    const rttMs = this.#options.rttMs || this.#challengedAfterMs;
    const timeoutMs = this.#cookie === null ? rttMs / HELLOS_PER_ROUND_TRIP : rttMs * SAMPLE_MARGIN;
    return RETRIES_MS.find((stepMs) => stepMs >= timeoutMs) ?? RETRIES_MS.at(-1)!;
  }

  /** `send`: there is something new to write; `ready`: `channel` is there. */
  onDatagram(
    bytes: Uint8Array,
    datagram: RelayDatagram,
    nowMs: number,
  ): "ignored" | "unauthentic" | "send" | "ready" {
    if (!this.#isMine(bytes, datagram)) return "ignored";
    if (datagram.type === RELAY_CHALLENGE) return this.#onChallenge(bytes, datagram.at, nowMs);
    if (datagram.type === RELAY_READY) return this.#onReady(bytes, datagram);
    return "ignored";
  }

  /** `retryMs` have passed since the last write. */
  onTimer(): "send" | "failed" {
    if (this.#attempts++ >= MAX_ATTEMPTS) return "failed";
    if (this.#cookie !== null && ++this.#confirms >= MAX_CONFIRMS) this.#cookie = null;
    return "send";
  }

  #isMine(bytes: Uint8Array, { at, version }: RelayDatagram): boolean {
    return (
      this.channel === null &&
      version === this.#version &&
      relayIdOf(bytes, at).every((byte, i) => byte === this.#relayId[i])
    );
  }

  #onChallenge(bytes: Uint8Array, at: number, nowMs: number): "ignored" | "send" {
    if (this.#cookie !== null) return "ignored";
    if (this.#challengedAfterMs === 0) this.#challengedAfterMs = nowMs - this.#startedMs;
    if (++this.#challenges <= MAX_CHALLENGES) this.#attempts = 0;
    this.#cookie = bytes.slice(at + PROOF_AT, at + PROOF_AT + COOKIE_BYTES);
    this.#confirms = 0;
    return "send";
  }

  #onReady(bytes: Uint8Array, { at, headerAt, headerLength }: RelayDatagram): "unauthentic" | "ready" {
    const { relayKey } = this.#options;
    const nonce = readyNonce(bytes, at);
    const ready = deriveReadyKey(relayKey, this.#relayId, nonce);
    if (!isReadyTag(ready, bytes, at, headerAt + headerLength - at)) return "unauthentic";
    const keys = this.#keys(nonce, bytes.slice(headerAt, headerAt + headerLength));
    if (keys === null) return "unauthentic";
    this.channel = new RelayChannel(this.#relayId, this.#version, keys.toExit, keys.toEntry);
    return "ready";
  }

  /** null: the exit node's public key is none. */
  #keys(nonce: Uint8Array, exitPublicKey: Uint8Array): UdpRelayKeys | null {
    const { relayKey, ownKey } = this.#options;
    const relayId = this.#relayId;
    if (ownKey === null) return deriveClearRelayKeys(relayKey, relayId, nonce);
    const secret = ownKey.secretWith(exitPublicKey, relayKey);
    if (secret === null) return null;
    const exchange = { relayId, nonce, entryPublicKey: ownKey.publicKey, exitPublicKey };
    return deriveSealedRelayKeys(relayKey, secret, exchange);
  }
}
