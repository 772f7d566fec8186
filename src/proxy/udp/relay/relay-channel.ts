/**
 * One end of an established relay: seals datagrams under the next counter, opens each received one once.
 * The two directions have keys of their own, so nothing can be sent back to where it came from.
 */
import { type DatagramSeal, type RelayDatagram, ReplayWindow, writeSealedHead } from "../../../wire/index.ts";

/** `unauthentic`: not written with the key. */
export type OpenVerdict = "new" | "replayed" | "stale" | "unauthentic";

export class RelayChannel {
  readonly #window = new ReplayWindow();
  #counter = 0;
  #number = 0;

  constructor(
    readonly relayId: Uint8Array,
    /** RELAY_CLEAR or RELAY_ENCRYPTED */
    readonly version: number,
    readonly outgoing: DatagramSeal,
    readonly incoming: DatagramSeal,
  ) {}

  /** For the parts of the next datagram that is cut. */
  nextNumber(): number {
    this.#number = (this.#number + 1) >>> 0;
    return this.#number;
  }

  /**
   * Writes the SEALED_BYTES at `headAt`, right behind which there are `headerLength` bytes already; the data is
   * anywhere in `bytes`, and encrypted in place if the relay is. None of it may change afterwards.
   */
  seal(
    type: number,
    session: number,
    bytes: Uint8Array,
    headAt: number,
    headerLength: number,
    dataAt: number,
    dataLength: number,
  ): void {
    writeSealedHead(type, this.relayId, headerLength, ++this.#counter, session, bytes, headAt, this.version);
    this.outgoing.seal(bytes, headAt, headerLength, dataAt, dataLength);
  }

  /** Checks a decoded datagram of `length` bytes and makes it readable; only "new" ones may be acted on. */
  open(bytes: Uint8Array, datagram: RelayDatagram, length: number): OpenVerdict {
    if (datagram.version !== this.version) return "unauthentic";
    if (!this.incoming.open(bytes, datagram.at, length)) return "unauthentic";
    return this.#window.take(datagram.counter);
  }
}
