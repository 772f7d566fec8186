/** The first datagram of a relay's UDP link, and the answer that shows that the exit node's port is open. */
import {
  decodeRelayDatagram,
  HandshakeTagger,
  PROOF_AT,
  RELAY_CHALLENGE,
  RELAY_CLEAR,
  RELAY_ENCRYPTED,
  RELAY_HELLO,
  RELAY_ID_BYTES,
  RelayDatagram,
  relayIdMatches,
  writeHandshake,
} from "../../wire/index.ts";

const PUBLIC_KEY_BYTES = 32;
const MAX_HELLO_BYTES = 512;

export interface RelayHelloOptions {
  /** Names of this node and of the other. */
  readonly entryNode: string;
  readonly exitNode: string;
  /** 32 bytes. */
  readonly relayKey: Uint8Array;
  readonly isSealed: boolean;
  readonly random: (bytes: number) => Uint8Array;
}

export interface RelayHello {
  readonly request: Uint8Array;
  readonly isAnswer: (bytes: Uint8Array) => boolean;
}

/** No link comes of it: the exit node keeps nothing until a CONFIRM, which is never sent. */
export function relayHello({
  entryNode,
  exitNode,
  relayKey,
  isSealed,
  random,
}: RelayHelloOptions): RelayHello {
  const relayId = random(RELAY_ID_BYTES);
  const name = isSealed ? random(PUBLIC_KEY_BYTES) : new TextEncoder().encode(entryNode);
  const version = isSealed ? RELAY_ENCRYPTED : RELAY_CLEAR;
  const out = new Uint8Array(MAX_HELLO_BYTES);
  const length = writeHandshake(RELAY_HELLO, relayId, name, out, 0, version);
  new HandshakeTagger(relayKey, exitNode).write(out, 0, length, PROOF_AT);
  const answer = new RelayDatagram();
  return {
    request: out.slice(0, length),
    isAnswer: (bytes) =>
      decodeRelayDatagram(bytes, 0, bytes.length, answer) &&
      answer.type === RELAY_CHALLENGE &&
      relayIdMatches(bytes, answer, relayId),
  };
}
