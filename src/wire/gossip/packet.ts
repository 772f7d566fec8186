/**
 * UDP packets: what is around the messages, outermost first. Every layer is optional. [memberlist net.go]
 *
 *     sealed (encryption.ts): no type byte; the receiver knows by having keys
 *       12 | CRC-32 u32 of what follows        only here, never further inside
 *         9 | compressed (compression.ts)       \ nested in any order,
 *         7 | compound (compound.ts)            / at most MAX_NESTING deep
 *
 * Labels (type 244, memberlist ≥ 0.3) are not spoken here: a packet that has one is meant for others.
 */
import { crc32 } from "node:zlib";
import { readUint32 } from "../big-endian.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { COMPOUND_BYTES, decodeCompound, encodeCompound } from "./compound.ts";
import { decompress } from "./compression.ts";
import { open, SEAL_BYTES, seal } from "./encryption.ts";
import type { Keyring } from "./keyring.ts";
import { COMPOUND, COMPRESS, HAS_CRC, HAS_LABEL } from "./message-type.ts";

const CRC_HEADER_BYTES = 5;
/** Compressed and compound layers around a message. Members send two. */
const MAX_NESTING = 4;
/** All that may come out of the compressed parts of a packet: members compress what fits into a packet. */
const MAX_DECOMPRESSED_BYTES = 65_536;
/** Compounds in compounds, made of nothing, could hold any number. Members send less than 256. */
const MAX_MESSAGES = 1024;
const NO_ADDITIONAL_DATA = new Uint8Array();

export interface PacketOptions {
  /** Null: plain. */
  readonly keyring: Keyring | null;
  /** 12 random bytes; asked for once per packet that is encrypted. */
  readonly nonce: () => Uint8Array;
  /** Only when all receivers speak core protocol 5 (pMax ≥ 5). */
  readonly withCrc: boolean;
}

/**
 * One packet with all the messages, of which there must be 1 to 127 (see encodeMessage). How many bytes of messages
 * fit is the caller's sum: packetOverheadBytes, and COMPOUND_PART_BYTES for each.
 */
export function framePacket(messages: readonly Uint8Array[], options: PacketOptions): Uint8Array {
  if (messages.length === 0) throw new RangeError("cannot make a packet of no messages");
  const { keyring, nonce, withCrc } = options;
  let packet = messages.length === 1 ? messages[0]! : encodeCompound(messages);
  if (withCrc) packet = prependCrc(packet);
  if (keyring === null) return packet;
  return seal(packet, { key: keyring.primary, nonce: nonce(), additionalData: NO_ADDITIONAL_DATA });
}

/** What a packet takes besides the parts of its compound. The CRC is not counted, as members do not either. */
export function packetOverheadBytes(keyring: Keyring | null): number {
  return COMPOUND_BYTES + (keyring === null ? 0 : SEAL_BYTES);
}

export type PacketProblem =
  /** Ends before a layer's header does. */
  | "too-short"
  | "label"
  | "cannot-decrypt"
  | "bad-crc"
  | "bad-compression"
  /** More comes out of it than MAX_DECOMPRESSED_BYTES. */
  | "too-large"
  | "too-deep"
  | "too-many-messages";

export interface OpenedPacket {
  /** None empty, none of types 7 and 9. Views, of the datagram if it was plain. */
  readonly messages: Uint8Array[];
  /** Parts of compounds that were cut off. */
  readonly truncatedParts: number;
  /** The first one; what could be read in spite of it is in `messages`. */
  readonly problem: PacketProblem | null;
}

export function openPacket(
  datagram: Uint8Array,
  options: { readonly keyring: Keyring | null },
): OpenedPacket {
  const opening = new Opening();
  opening.open(datagram, options.keyring);
  const { messages, truncatedParts, problem } = opening;
  return { messages, truncatedParts, problem };
}

class Opening {
  readonly messages: Uint8Array[] = [];
  truncatedParts = 0;
  problem: PacketProblem | null = null;
  #bytesLeft = MAX_DECOMPRESSED_BYTES;

  open(datagram: Uint8Array, keyring: Keyring | null): void {
    if (datagram.length === 0) return this.#note("too-short");
    if (datagram[0] === HAS_LABEL) return this.#note("label");
    if (keyring === null) return this.#check(datagram);
    if (datagram.length < SEAL_BYTES) return this.#note("too-short");
    const packet = open(datagram, keyring, NO_ADDITIONAL_DATA);
    if (packet === null) this.#note("cannot-decrypt");
    else this.#check(packet);
  }

  #check(packet: Uint8Array): void {
    if (packet[0] !== HAS_CRC) return this.#unwrap(packet, 0);
    if (packet.length <= CRC_HEADER_BYTES) return this.#note("too-short");
    const checked = packet.subarray(CRC_HEADER_BYTES);
    if (readUint32(packet, 1) !== crc32(checked)) this.#note("bad-crc");
    else this.#unwrap(checked, 0);
  }

  #unwrap(message: Uint8Array, depth: number): void {
    if (message.length === 0) return this.#note("too-short");
    if (message[0] !== COMPOUND && message[0] !== COMPRESS) return this.#keep(message);
    if (depth === MAX_NESTING) return this.#note("too-deep");
    if (message[0] === COMPRESS) this.#unwrapCompressed(message, depth);
    else this.#unwrapCompound(message, depth);
  }

  #unwrapCompressed(message: Uint8Array, depth: number): void {
    const inner = decompress(message, () => this.#bytesLeft);
    if (inner === "damaged") return this.#note("bad-compression");
    if (inner === "too-large") return this.#note("too-large");
    this.#bytesLeft -= inner.length;
    this.#unwrap(inner, depth + 1);
  }

  #unwrapCompound(message: Uint8Array, depth: number): void {
    const compound = decodeCompound(message);
    if (compound === null) return this.#note("too-short");
    this.truncatedParts += compound.truncated;
    for (const part of compound.parts) this.#unwrap(part, depth + 1);
  }

  #keep(message: Uint8Array): void {
    if (this.messages.length === MAX_MESSAGES) this.#note("too-many-messages");
    else this.messages.push(message);
  }

  #note(problem: PacketProblem): void {
    this.problem ??= problem;
  }
}

function prependCrc(packet: Uint8Array): Uint8Array {
  const out = new ByteBuilder(CRC_HEADER_BYTES + packet.length);
  out.push(HAS_CRC);
  out.pushUint(crc32(packet), 4);
  out.append(packet);
  return out.bytes;
}
