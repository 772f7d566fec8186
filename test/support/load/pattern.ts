/**
 * Endless streams whose every byte is known from its position, for tests of byte paths. A stream is the repetition of
 * one random block of a prime length, each stream from a place of its own: a byte lost, doubled, moved or from another
 * stream shows in the comparison, which is a memcmp.
 */
import { Arena } from "../../../src/sys/arena.ts";
import { SysError } from "../../../src/sys/errno.ts";
import { type RawSocket, RECEIVE_BYTES } from "../os/raw-socket.ts";
import { seededRandom } from "../random/seeded-random.ts";

/** The largest prime below 2^20. */
const PERIOD = 1_048_573;
/** The most that one send can take. */
const RUN_BYTES = RECEIVE_BYTES;
/** Prime, so that the first few hundred streams start far apart. */
const STREAM_DISTANCE = 39_916_801;

const arena = createBlock();

/** How a stream ended: "end" for FIN, else the code of the error. */
export interface Received {
  readonly bytes: number;
  readonly how: string;
}

export interface SendOptions {
  /** Length of the next send; without it as much as the socket takes. */
  readonly nextLength?: () => number;
}

export interface ReceiveOptions {
  /** Called after every receive with all that has come so far. */
  readonly onProgress?: (bytes: number) => void | Promise<void>;
  /** The most that one receive takes. */
  readonly maxLength?: number;
}

/** One direction of a connection. */
export class Pattern {
  sentBytes = 0;
  receivedBytes = 0;

  constructor(readonly stream: number) {}

  /** Sends the stream's next `count` bytes. */
  async send(to: RawSocket, count: number, { nextLength }: SendOptions = {}): Promise<void> {
    const end = this.sentBytes + count;
    while (this.sentBytes < end) {
      const wanted = Math.min(end - this.sentBytes, RUN_BYTES, nextLength?.() ?? RUN_BYTES);
      this.sentBytes += await to.sendFrom(arena, this.#offset(this.sentBytes), wanted);
    }
  }

  /** Sends until the peer has not taken a byte for `stallMs`. */
  async sendUntilStalled(to: RawSocket, stallMs: number): Promise<void> {
    do {
      for (;;) {
        const sent = to.trySendFrom(arena, this.#offset(this.sentBytes), RUN_BYTES);
        if (sent === 0) break;
        this.sentBytes += sent;
      }
    } while (await to.becomesWritable(stallMs));
  }

  /** Receives exactly `count` bytes and compares them; rejects at an early end. */
  async receive(from: RawSocket, count: number, options: ReceiveOptions = {}): Promise<void> {
    const end = this.receivedBytes + count;
    while (this.receivedBytes < end) {
      if (!(await this.#receiveSome(from, end - this.receivedBytes, options)))
        throw new Error(`stream ${this.stream} ended after ${this.receivedBytes} of ${end} bytes`);
    }
  }

  /** Receives and compares everything up to FIN or RST. */
  async receiveToEnd(from: RawSocket, options: ReceiveOptions = {}): Promise<Received> {
    try {
      while (await this.#receiveSome(from, RECEIVE_BYTES, options));
      return { bytes: this.receivedBytes, how: "end" };
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return { bytes: this.receivedBytes, how: error.code };
    }
  }

  /** False at the end of the stream. */
  async #receiveSome(from: RawSocket, limit: number, options: ReceiveOptions): Promise<boolean> {
    const bytes = await from.receive(Math.min(limit, options.maxLength ?? RECEIVE_BYTES));
    if (bytes.length === 0) return false;
    this.#compare(bytes);
    this.receivedBytes += bytes.length;
    await options.onProgress?.(this.receivedBytes);
    return true;
  }

  #compare(bytes: Uint8Array): void {
    const offset = this.#offset(this.receivedBytes);
    const expected = arena.bytes.subarray(offset, offset + bytes.length);
    if (Buffer.compare(bytes, expected) === 0) return;
    const wrongAt = bytes.findIndex((byte, index) => byte !== expected[index]);
    throw new Error(`stream ${this.stream}: wrong byte at position ${this.receivedBytes + wrongAt}`);
  }

  #offset(position: number): number {
    return (this.stream * STREAM_DISTANCE + position) % PERIOD;
  }
}

/** The period, followed by its beginning once more, so that every run is contiguous; an arena is whole words. */
function createBlock(): Arena {
  const block = new Arena(2 ** 20 + RUN_BYTES);
  const random = seededRandom(PERIOD);
  for (let i = 0; i < PERIOD; i++) block.bytes[i] = random() * 256;
  block.bytes.copyWithin(PERIOD, 0, RUN_BYTES);
  return block;
}
