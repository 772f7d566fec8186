/**
 * One direction of a connection: bytes from a source socket to a destination socket. Subclasses move them; this class
 * keeps what a read result says about the source.
 *
 * Invariant: a byte read from the source is either sent, held, or the flow has ended with an error. Nothing more is read
 * until the destination takes the held bytes, so held memory is bounded.
 */
import { EAGAIN, isCongestion } from "../../../sys/errno.ts";

/** Outcome of `pump`. */
export const FLOW_EMPTY = 0; // nothing more to read for now
export const FLOW_FULL = 1; // no room at the destination for now
export const FLOW_MORE = 2; // the turn's share is used up; call again
export const FLOW_ENDED = 3; // end of stream, everything delivered
export const FLOW_SOURCE_FAILED = 4; // errno in `error`
export const FLOW_DESTINATION_FAILED = 5; // errno in `error`

/** What it means when a read does not fill the buffer. */
const SHORT_IS_EMPTY = 0; // the socket is empty, the next byte raises an event
const SHORT_IS_LAST = 1; // end of stream
const SHORT_IS_NOTHING = 2; // read on

export abstract class Flow {
  /** Bytes of the stream that the destination socket has taken. */
  bytes = 0;
  error = 0;
  /** The source may have something to read. */
  isReadable = false;
  /** The destination has refused bytes since the last EPOLLOUT. */
  isFull = false;
  isEnded = false;
  /** FIN has been sent to the destination. */
  isEndPassed = false;
  /** The destination is watched for EPOLLOUT. */
  isRoomWatched = false;
  /** Nagle is off at the destination. */
  hasNoDelay = false;
  /** No read will bring more. */
  protected hasEndOfStream = false;
  #shortRead = SHORT_IS_EMPTY;

  constructor(
    readonly sourceFd: number,
    readonly destinationFd: number,
  ) {}

  /** Read from the source and not delivered yet. */
  abstract get heldBytes(): number;

  /** Moves what can be moved now and returns why it stopped: FLOW_… */
  abstract pump(): number;

  /** Gives pipes and blocks back; bytes in them are lost, so only for a connection that ends. */
  abstract release(): void;

  /** The source has sent FIN, and everything before it has been read. */
  get hasSourceEnded(): boolean {
    return this.hasEndOfStream;
  }

  /** The source's FIN has arrived: what it holds now is all there is. */
  onFin(): void {
    if (this.#shortRead === SHORT_IS_EMPTY) this.#shortRead = SHORT_IS_LAST;
  }

  /**
   * The source is broken: an error follows its last bytes and must be read.
   * @param _isEndKnown an end of stream that is still to be read is genuine
   */
  onBroken(_isEndKnown: boolean): void {
    this.#shortRead = SHORT_IS_NOTHING;
  }

  /** The source holds an urgent byte. It travels in line (SO_OOBINLINE, RFC 6093), but reads stop at it. */
  onUrgent(): void {
    this.#shortRead = SHORT_IS_NOTHING;
  }

  /** Reads continue until one returns nothing. */
  protected get isReadOn(): boolean {
    return this.#shortRead === SHORT_IS_NOTHING;
  }

  /** Saves a read whose result is known. */
  protected onShortRead(): void {
    if (this.#shortRead === SHORT_IS_LAST) this.hasEndOfStream = true;
    else if (this.#shortRead === SHORT_IS_EMPTY) this.isReadable = false;
  }

  /** @param result 0 or -errno */
  protected onNothingRead(result: number): number {
    if (result === 0) {
      this.hasEndOfStream = true;
      return FLOW_MORE;
    }
    if (result === -EAGAIN) {
      this.isReadable = false;
      return FLOW_EMPTY;
    }
    this.error = -result;
    return FLOW_SOURCE_FAILED;
  }

  /** @param result 0 or -errno */
  protected onNotSent(result: number): number {
    if (result !== 0 && !isCongestion(-result)) return this.failDestination(result);
    this.isFull = true;
    return FLOW_FULL;
  }

  protected failDestination(result: number): number {
    this.error = -result;
    return FLOW_DESTINATION_FAILED;
  }
}
