/** Hands packets to the device. A packet is one write, of parts that lie anywhere in the arena. */
import { type Arena, addressOfLong, MOVABLE_BYTES } from "../../../sys/arena.ts";
import { writePacket } from "../../../sys/tun.ts";
import { type Counters, F_PACKETS_IN } from "../counters.ts";

/** Parts of one packet: segments of a super-packet that are at least some 500 bytes long. */
export const PARTS_MAX = 128;

const IOVEC_BYTES = 16;
const IOVEC_WORDS = IOVEC_BYTES / 4;

export function tunWriterBytes(): number {
  return PARTS_MAX * IOVEC_BYTES + MOVABLE_BYTES + 128;
}

/** What a path needs of the writer. */
export type PacketSink = Pick<TunWriter, "arena" | "parts" | "add" | "write">;

export class TunWriter {
  parts = 0;
  readonly #iovecsAt: number;
  readonly #shortAt: number;

  constructor(
    readonly arena: Arena,
    readonly fd: number,
    readonly counters: Counters,
  ) {
    this.#iovecsAt = arena.take(PARTS_MAX * IOVEC_BYTES);
    this.#shortAt = arena.take(MOVABLE_BYTES);
  }

  add(at: number, length: number): void {
    this.#addAddress(this.arena.base + at, length);
  }

  #addAddress(address: number, length: number): void {
    const { arena } = this;
    const word = this.#iovecsAt / 4 + this.parts++ * IOVEC_WORDS;
    arena.int32[word] = address | 0;
    arena.int32[word + 1] = (address / 2 ** 32) | 0;
    arena.int32[word + 2] = length;
    arena.int32[word + 3] = 0;
  }

  /** Writes a packet of the runtime's memory, with its virtio header: 0, or an errno; it is counted. */
  writeBuffer(packet: Uint8Array, row: number): number {
    if (packet.length >= MOVABLE_BYTES) this.#addAddress(addressOfLong(packet), packet.length);
    else {
      this.arena.bytes.set(packet, this.#shortAt);
      this.add(this.#shortAt, packet.length);
    }
    return this.write(row);
  }

  /** Writes what was added as one packet: 0, or an errno; it is counted. */
  write(row: number): number {
    const written = writePacket(this.fd, this.arena.address(this.#iovecsAt), this.parts);
    this.parts = 0;
    if (written >= 0) this.counters.add(row, F_PACKETS_IN, 1);
    else this.counters.dropFrame(row, "device-refused");
    return written >= 0 ? 0 : -written;
  }
}
