/**
 * The entry node's half of a link's handshake: says HELLO until challenged, CONFIRMs until READY, gives up after a
 * while. No sockets and no clock: whoever owns it sends what `write` writes, at first and whenever `onTimer` says so.
 */
import {
  COOKIE_BYTES,
  deriveLinkKeys,
  HandshakeTagger,
  isReadyTag,
  LINK_ID_BYTES,
  linkIdOf,
  PROOF_AT,
  RELAY_CHALLENGE,
  RELAY_CONFIRM,
  RELAY_HELLO,
  RELAY_READY,
  type RelayDatagram,
  readyNonce,
  SECOND_TAG_AT,
  writeHandshake,
} from "../../../wire/index.ts";
import { LinkChannel } from "./link-channel.ts";

/** Between two attempts: more than a round trip in most networks. */
export const HANDSHAKE_RETRY_MS = 200;
/** Then the peer counts as unreachable. */
const MAX_ATTEMPTS = 10;
/** A CONFIRM that is never answered has a cookie of before a restart: HELLO again. */
const MAX_CONFIRMS = 3;

export interface EntryHandshakeOptions {
  /** Names of this node and of the other. */
  readonly entryNode: string;
  readonly exitNode: string;
  /** 32 bytes. */
  readonly relayKey: Uint8Array;
  /** So many random bytes. */
  readonly random: (bytes: number) => Uint8Array;
}

export class EntryHandshake {
  readonly #options: EntryHandshakeOptions;
  readonly #tagger: HandshakeTagger;
  readonly #name: Uint8Array;
  #linkId: Uint8Array;
  #cookie: Uint8Array | null = null;
  #attempts = 1;
  #confirms = 0;
  /** The established link, once READY has come. */
  channel: LinkChannel | null = null;

  constructor(options: EntryHandshakeOptions) {
    this.#options = options;
    this.#tagger = new HandshakeTagger(options.relayKey, options.exitNode);
    this.#name = new TextEncoder().encode(options.entryNode);
    this.#linkId = options.random(LINK_ID_BYTES);
  }

  /** Writes the datagram to send now; returns its length. */
  write(out: Uint8Array, at: number): number {
    const cookie = this.#cookie;
    const length = writeHandshake(
      cookie === null ? RELAY_HELLO : RELAY_CONFIRM,
      this.#linkId,
      this.#name,
      out,
      at,
    );
    if (cookie !== null) out.set(cookie, at + PROOF_AT);
    this.#tagger.write(out, at, length, cookie === null ? PROOF_AT : SECOND_TAG_AT);
    return length;
  }

  /** `send`: there is something new to write; `ready`: `channel` is there. */
  onDatagram(bytes: Uint8Array, datagram: RelayDatagram): "ignored" | "unauthentic" | "send" | "ready" {
    if (!this.#isMine(bytes, datagram)) return "ignored";
    if (datagram.type === RELAY_CHALLENGE) return this.#onChallenge(bytes, datagram.at);
    if (datagram.type === RELAY_READY) return this.#onReady(bytes, datagram.at);
    return "ignored";
  }

  /** HANDSHAKE_RETRY_MS have passed since the last write. */
  onTimer(): "send" | "failed" {
    if (this.#attempts++ >= MAX_ATTEMPTS) return "failed";
    if (this.#cookie !== null && ++this.#confirms >= MAX_CONFIRMS) this.#cookie = null;
    return "send";
  }

  #isMine(bytes: Uint8Array, { at }: RelayDatagram): boolean {
    return this.channel === null && linkIdOf(bytes, at).every((byte, i) => byte === this.#linkId[i]);
  }

  #onChallenge(bytes: Uint8Array, at: number): "ignored" | "send" {
    if (this.#cookie !== null) return "ignored";
    this.#cookie = bytes.slice(at + PROOF_AT, at + PROOF_AT + COOKIE_BYTES);
    this.#confirms = 0;
    return "send";
  }

  #onReady(bytes: Uint8Array, at: number): "unauthentic" | "ready" {
    const keys = deriveLinkKeys(this.#options.relayKey, this.#linkId, readyNonce(bytes, at));
    if (!isReadyTag(keys, bytes, at)) return "unauthentic";
    this.channel = new LinkChannel(this.#linkId, keys.toExit, keys.toEntry);
    return "ready";
  }
}
