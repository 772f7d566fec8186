/** A peer as the worker has it: where its datagrams go, what every frame to it starts with, where it may send from. */
import type { Arena } from "../../../sys/arena.ts";
import {
  AF_INET,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_MAX,
  writeSockaddr,
} from "../../../sys/sockaddr.ts";
import { readInt32 } from "../../../wire/big-endian.ts";
import { ETHERNET_BYTES, ETHERTYPE_IPV4, MAC_BYTES, writeEthernet } from "../../../wire/ethernet.ts";
import { parseIp } from "../../../wire/index.ts";
import { VXLAN_BYTES, writeVxlan } from "../../../wire/vxlan.ts";
import { macOf } from "../../address-plan.ts";
import type { WorkerPeer } from "../worker-messages.ts";
import type { PeerPath } from "./peer-path.ts";

/** VXLAN and Ethernet headers of a frame. */
export const FRAME_HEAD_BYTES = VXLAN_BYTES + ETHERNET_BYTES;
/** They end at a multiple of 4 in the words of `frameHead`, so they start here. */
export const FRAME_HEAD_AT = 2;
export const FRAME_HEAD_WORDS = (FRAME_HEAD_AT + FRAME_HEAD_BYTES) / 4;
const MAC_AT = FRAME_HEAD_AT + VXLAN_BYTES;
const ADDRESS_WORDS_IPV6 = 4;
const SOCKADDR_IN_BYTES = 16;

export class RemotePeer {
  /** Overlay address, int32 in network order. */
  readonly address: number;
  readonly row: number;
  /** Of the socket that sends to it. */
  readonly family: number;
  /** Where its datagrams go: a struct sockaddr as words. */
  readonly sockaddr = new Int32Array(SOCKADDR_MAX / 4);
  /** VXLAN and Ethernet headers of a frame to it, from byte FRAME_HEAD_AT on. */
  readonly frameHead = new Int32Array(FRAME_HEAD_WORDS);
  readonly #frameHeadBytes = new Uint8Array(this.frameHead.buffer);
  readonly #addressWord: number;
  readonly #addressWords: number;
  /** Nothing in clear is sent to it or taken from it. */
  readonly isSealed: boolean;
  /** Until a frame of its own has shown its MAC address, the one that nodes give themselves is assumed, and it is asked. */
  isMacLearnt = false;
  /** When it was asked last. */
  askedAtMs = Number.NEGATIVE_INFINITY;
  /** False once the kernel has refused to cut what goes there (UDP_SEGMENT). */
  maySegment = true;

  constructor(
    readonly config: WorkerPeer,
    readonly path: PeerPath<RemotePeer>,
    own: { readonly address: string; readonly vni: number },
  ) {
    this.row = config.row;
    this.isSealed = config.secrets !== null;
    this.address = readInt32(parseIp(config.overlayAddress)!.bytes, 0);
    const underlay = parseIp(config.underlayAddress)!.bytes;
    writeSockaddr(new Uint8Array(this.sockaddr.buffer), 0, underlay, config.port);
    const isIpv4 = underlay.length === 4;
    this.family = this.sockaddr[0]! & 0xffff;
    this.#addressWord = (isIpv4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS) / 4;
    this.#addressWords = isIpv4 ? 1 : ADDRESS_WORDS_IPV6;
    writeVxlan(own.vni, this.#frameHeadBytes, FRAME_HEAD_AT);
    const mac = macOf(config.overlayAddress);
    writeEthernet(mac, macOf(own.address), ETHERTYPE_IPV4, this.#frameHeadBytes, MAC_AT);
  }

  isConfiguredAs(config: WorkerPeer): boolean {
    const { name, overlayAddress, underlayAddress, port, secrets } = this.config;
    return (
      config.name === name &&
      config.overlayAddress === overlayAddress &&
      config.underlayAddress === underlayAddress &&
      config.port === port &&
      String(config.secrets) === String(secrets)
    );
  }

  /** Whether a struct sockaddr has its underlay address; ports are not compared, kernels pick theirs by flow. */
  isAt(arena: Arena, sockaddrAt: number): boolean {
    const from = sockaddrAt / 4;
    if ((arena.int32[from]! & 0xffff) !== this.family) return false;
    for (let word = this.#addressWord, end = word + this.#addressWords; word < end; word++) {
      if (arena.int32[from + word] !== this.sockaddr[word]) return false;
    }
    return true;
  }

  /** `sockaddr`, as long as that of its family. */
  get sockaddrBytes(): Uint8Array {
    return new Uint8Array(
      this.sockaddr.buffer,
      0,
      this.family === AF_INET ? SOCKADDR_IN_BYTES : SOCKADDR_MAX,
    );
  }

  /** For tables by underlay address. */
  get underlayHash(): number {
    return hashAddress(this.sockaddr, 0, this.family);
  }

  /** Frames go to the MAC address that its own come from. */
  learnMac(bytes: Uint8Array, at: number): void {
    this.isMacLearnt = true;
    for (let i = 0; i < MAC_BYTES; i++) this.#frameHeadBytes[MAC_AT + i] = bytes[at + i]!;
  }

  hasLearntMac(bytes: Uint8Array, at: number): boolean {
    if (!this.isMacLearnt) return false;
    for (let i = 0; i < MAC_BYTES; i++) if (this.#frameHeadBytes[MAC_AT + i] !== bytes[at + i]) return false;
    return true;
  }
}

/** Of the address in a struct sockaddr at word `at`. */
export function hashAddress(words: Int32Array, at: number, family: number): number {
  if (family === AF_INET) return words[at + SOCKADDR_IN_ADDRESS / 4]!;
  let hash = 0;
  for (let i = 0; i < ADDRESS_WORDS_IPV6; i++) {
    hash = Math.imul(hash, 31) + words[at + SOCKADDR_IN6_ADDRESS / 4 + i]!;
  }
  return hash | 0;
}
