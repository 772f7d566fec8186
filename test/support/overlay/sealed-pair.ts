/** Two ends of a sealed path in memory: what one seals are datagrams that a test may lose, mix and forge. */
import { Aead } from "../../../src/overlay/seal/aead.ts";
import { PairKeyCache } from "../../../src/overlay/seal/pair-key-cache.ts";
import { SealReceiver, type SealRejection } from "../../../src/overlay/seal/seal-receiver.ts";
import { SealedPeer } from "../../../src/overlay/seal/sealed-peer.ts";
import type { RekeyLimits } from "../../../src/overlay/seal/sending-key.ts";
import {
  partsOf,
  SEAL_CONTROL,
  SEAL_HEADER_BYTES,
  SEAL_PACKET,
  SEAL_TAG_BYTES,
  type SealKind,
  writeSealHeader,
} from "../../../src/wire/index.ts";
import { GCM } from "./gcm.ts";

export const SECRET = "11".repeat(32);
export const OWN = "10.200.0.1";
export const OTHER = "10.200.0.2";

const RECEIVE_AT = 0;
const GATHER_AT = 1 << 17;
const MEMORY_BYTES = 2 << 17;

export interface SealedEndOptions {
  readonly own: string;
  readonly other: string;
  readonly secrets?: readonly string[];
  readonly limits?: RekeyLimits;
  /** Of an end that was here before. */
  readonly cache?: PairKeyCache;
}

/** One node, with one peer. */
export class SealedEnd {
  readonly peer: SealedPeer;
  readonly receiver: SealReceiver;
  readonly packets: Uint8Array[] = [];
  readonly controls: Uint8Array[] = [];
  /** By reason: datagrams. */
  readonly rejected: Partial<Record<SealRejection, number>> = {};
  /** Whether datagrams seem to come from the peer's address. */
  isFromPeer = true;
  nowMs = 0;
  readonly #bytes = new Uint8Array(MEMORY_BYTES);
  readonly #aead = new Aead(GCM);

  constructor({ own, other, secrets = [SECRET], limits, cache = new PairKeyCache() }: SealedEndOptions) {
    const bytes = this.#bytes;
    const view = new DataView(bytes.buffer);
    this.peer = new SealedPeer({
      ownAddress: own,
      peerAddress: other,
      secrets,
      cache,
      udpOverheadBytes: 28,
      localMtu: 1500,
      random: () => 0.5,
      nowMs: 0,
      ...(limits !== undefined && { limits }),
    });
    const memory = { bytes, view, gatherAt: GATHER_AT };
    const ownWord = own.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
    this.receiver = new SealReceiver(
      memory,
      ownWord,
      {
        onPacket: (_, packet) => this.packets.push(new Uint8Array(packet)),
        onControl: (_, message) => this.controls.push(message.slice()),
        onOpened: () => {},
        onRejected: (reason, _, datagrams) => {
          this.rejected[reason] = (this.rejected[reason] ?? 0) + datagrams;
        },
      },
      GCM,
    );
    this.receiver.setPeers([this.peer]);
  }

  /** The datagrams of one seal. */
  seal(plaintext: Uint8Array, chunk = 1452, kind: SealKind = SEAL_PACKET): Uint8Array[] {
    const { id, key } = this.peer.sending.take(plaintext.length, this.nowMs);
    const { counter } = this.peer.sending;
    const length = plaintext.length + SEAL_TAG_BYTES;
    const header = new Uint8Array(SEAL_HEADER_BYTES);
    const count = partsOf(length, chunk);
    writeSealHeader(header, new DataView(header.buffer), 0, {
      kind,
      count,
      keyId: id,
      counter,
      length,
      chunk,
    });
    const { ciphertext, tag } = this.#aead.seal(key, counter, header, plaintext);
    const sealed = Buffer.concat([ciphertext, tag]);
    return Array.from({ length: count }, (_, index) => {
      const datagram = Buffer.concat([header, sealed.subarray(index * chunk, (index + 1) * chunk)]);
      datagram[1] = index;
      return datagram;
    });
  }

  control(message: Uint8Array): Uint8Array[] {
    return this.seal(message, message.length + SEAL_TAG_BYTES, SEAL_CONTROL);
  }

  /** Datagrams one by one, or as bursts whose datagrams but the last have one length. */
  receive(bursts: readonly (Uint8Array | readonly Uint8Array[])[]): void {
    for (const burst of bursts) {
      const datagrams = burst instanceof Uint8Array ? [burst] : burst;
      const bytes = Buffer.concat(datagrams);
      this.#bytes.set(bytes, RECEIVE_AT);
      const segment = datagrams[0]?.length ?? 0;
      this.receiver.receive(RECEIVE_AT, bytes.length, Math.max(1, segment), () => this.isFromPeer);
    }
  }
}

export function sealedPair(options: Partial<SealedEndOptions> = {}): { a: SealedEnd; b: SealedEnd } {
  return {
    a: new SealedEnd({ own: OWN, other: OTHER, ...options }),
    b: new SealedEnd({ own: OTHER, other: OWN, ...options }),
  };
}

/** A super-packet from OWN to OTHER, as TUN gives it: virtio header, IPv4, and this many bytes of payload. */
export function innerPacket(payload: number, fill = 7, source = OWN, destination = OTHER): Uint8Array {
  const bytes = new Uint8Array(10 + 20 + payload).fill(fill);
  bytes.fill(0, 0, 30);
  const view = new DataView(bytes.buffer);
  bytes[10] = 0x45;
  view.setUint16(12, 20 + payload);
  bytes.set(source.split(".").map(Number), 22);
  bytes.set(destination.split(".").map(Number), 26);
  return bytes;
}
