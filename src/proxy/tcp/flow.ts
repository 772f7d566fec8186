/**
 * One direction of a connection: bytes from a source socket to a destination socket.
 *
 * Short reads are copied through one shared buffer. As soon as a read fills it, bytes move by splice through a pooled
 * pipe, until reads are short again. Bytes that the destination does not take are held (in the pipe, or in a block)
 * and nothing more is read until they are gone, so held memory is bounded by one pipe or one block per direction.
 *
 * Invariant: a byte read from the source is either sent, held, or the flow has ended with an error.
 */
import { Arena } from "../../sys/arena.ts";
import { EAGAIN, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { type PipeEnds, splice } from "../../sys/pipe.ts";
import { recv, send } from "../../sys/socket.ts";
import { BLOCK_BYTES, type Block, type BlockPool } from "./block-pool.ts";
import { PIPE_BYTES, type PipePool } from "./pipe-pool.ts";

/** Outcome of `pump`. */
export const FLOW_EMPTY = 0; // the source has nothing more now
export const FLOW_FULL = 1; // the destination takes nothing more now
export const FLOW_MORE = 2; // the turn's share is used up; call again
export const FLOW_ENDED = 3; // end of stream, everything delivered
export const FLOW_SOURCE_FAILED = 4; // errno in `error`
export const FLOW_DESTINATION_FAILED = 5; // errno in `error`

/** A read that fills the buffer switches to splice. */
const COPY_BYTES = BLOCK_BYTES;
/** Splices shorter than a buffer in a row that switch back to copying. */
const SHORT_SPLICES = 4;
/** Reads per turn of the event loop: bounds how long one connection holds up the others. */
const READS_PER_TURN = 16;

/** What a read that did not fill the buffer tells. */
const SHORT_IS_EMPTY = 0; // the socket is empty, the next byte raises an event
const SHORT_IS_LAST = 1; // end of stream
const SHORT_IS_NOTHING = 2; // read on

export interface FlowResources {
  readonly pipes: PipePool;
  readonly blocks: BlockPool;
  /** COPY_BYTES of the arena */
  readonly buffer: Arena;
}

export function createFlowResources(pipes: PipePool, blocks: BlockPool): FlowResources {
  return { pipes, blocks, buffer: new Arena(COPY_BYTES) };
}

export class Flow {
  sourceFd: number;
  destinationFd: number;
  /** Bytes delivered to the destination socket. */
  bytes = 0;
  error = 0;
  /** The source may have something to read. */
  isReadable = false;
  /** The destination has refused bytes since the last EPOLLOUT. */
  isFull = false;
  isEnded = false;
  /** The destination has been told. */
  isEndPassed = false;
  #hasEndOfStream = false;
  #shortRead = SHORT_IS_EMPTY;
  #hasUrgent = false;
  #isSplicing = false;
  #shortSplices = 0;
  #pipe: PipeEnds | null = null;
  #block: Block | null = null;
  #blockStart = 0;
  /** in the pipe or the block */
  #held = 0;

  constructor(
    readonly resources: FlowResources,
    sourceFd: number,
    destinationFd: number,
  ) {
    this.sourceFd = sourceFd;
    this.destinationFd = destinationFd;
  }

  get heldBytes(): number {
    return this.#held;
  }

  pump(): number {
    for (let reads = 0; reads < READS_PER_TURN; reads++) {
      if (this.#held > 0) {
        const outcome = this.#deliverHeld();
        if (outcome !== FLOW_EMPTY) return outcome;
      }
      if (this.#hasEndOfStream) {
        this.isEnded = true;
        return FLOW_ENDED;
      }
      if (!this.isReadable) return FLOW_EMPTY;
      const outcome = this.#isSplicing ? this.#spliceOnce() : this.#copyOnce();
      if (outcome !== FLOW_MORE) return outcome;
    }
    return FLOW_MORE;
  }

  /** The source's FIN has arrived: what it holds now is all there is. */
  onFin(): void {
    if (this.#shortRead === SHORT_IS_EMPTY) this.#shortRead = SHORT_IS_LAST;
  }

  /** The source is broken: its bytes are followed by an error, which has to be read. */
  onBroken(): void {
    this.#shortRead = SHORT_IS_NOTHING;
  }

  /**
   * The source holds an urgent byte. It travels in line (SO_OOBINLINE, RFC 6093), but reads stop at it without having
   * emptied the socket, and splice does not pass it.
   */
  onUrgent(): void {
    if (this.#hasUrgent) return;
    this.#hasUrgent = true;
    this.#shortRead = SHORT_IS_NOTHING;
    this.#isSplicing = false;
  }

  /** Gives back what is held; undelivered bytes are lost, which only a broken connection may do. */
  release(): void {
    if (this.#pipe !== null) {
      if (this.#held > 0) this.resources.pipes.discard(this.#pipe);
      else this.resources.pipes.giveBack(this.#pipe);
      this.#pipe = null;
    }
    if (this.#block !== null) {
      this.resources.blocks.giveBack(this.#block);
      this.#block = null;
    }
    this.#held = 0;
  }

  #copyOnce(): number {
    const { buffer } = this.resources;
    const received = recv(this.sourceFd, buffer.address(0), COPY_BYTES, 0);
    if (received <= 0) return this.#onNothingRead(received);
    if (received < COPY_BYTES) this.#onShortRead();
    else if (!this.#hasUrgent) this.#isSplicing = true;
    const sent = send(this.destinationFd, buffer.address(0), received);
    if (sent === received) {
      this.bytes += sent;
      return FLOW_MORE;
    }
    if (sent < 0 && !isBusy(sent)) return this.#failDestination(sent);
    const start = Math.max(0, sent);
    this.bytes += start;
    this.#holdInBlock(start, received - start);
    return FLOW_MORE;
  }

  #spliceOnce(): number {
    this.#pipe ??= this.resources.pipes.take();
    if (this.#pipe === null) {
      this.#isSplicing = false;
      return FLOW_MORE;
    }
    const moved = splice(this.sourceFd, this.#pipe.writeFd, PIPE_BYTES);
    if (moved === 0) {
      // end of stream, or an urgent byte with FIN behind it: a read tells
      this.#givePipeBack();
      this.#isSplicing = false;
      return FLOW_MORE;
    }
    if (moved < 0) {
      this.#givePipeBack();
      return this.#onNothingRead(moved);
    }
    this.#held = moved;
    if (moved >= COPY_BYTES) this.#shortSplices = 0;
    else if (++this.#shortSplices === SHORT_SPLICES) {
      this.#shortSplices = 0;
      this.#isSplicing = false;
    }
    return FLOW_MORE;
  }

  /** FLOW_EMPTY once nothing is held. */
  #deliverHeld(): number {
    const outcome = this.#pipe !== null ? this.#deliverPipe(this.#pipe) : this.#deliverBlock(this.#block!);
    if (outcome !== FLOW_EMPTY) return outcome;
    this.#givePipeBack();
    return FLOW_EMPTY;
  }

  #deliverPipe(pipe: PipeEnds): number {
    while (this.#held > 0) {
      const sent = splice(pipe.readFd, this.destinationFd, this.#held);
      if (sent <= 0) return this.#onNotSent(sent);
      this.#held -= sent;
      this.bytes += sent;
    }
    return FLOW_EMPTY;
  }

  #deliverBlock(block: Block): number {
    while (this.#held > 0) {
      const sent = send(this.destinationFd, block.arena.address(block.offset + this.#blockStart), this.#held);
      if (sent <= 0) return this.#onNotSent(sent);
      this.#held -= sent;
      this.#blockStart += sent;
      this.bytes += sent;
    }
    this.resources.blocks.giveBack(block);
    this.#block = null;
    return FLOW_EMPTY;
  }

  #holdInBlock(start: number, length: number): void {
    const block = this.resources.blocks.take();
    block.arena.bytes.set(this.resources.buffer.bytes.subarray(start, start + length), block.offset);
    this.#block = block;
    this.#blockStart = 0;
    this.#held = length;
  }

  /** The pipe must be empty. */
  #givePipeBack(): void {
    if (this.#pipe === null) return;
    this.resources.pipes.giveBack(this.#pipe);
    this.#pipe = null;
  }

  /** Saves the read that would only tell what is known. */
  #onShortRead(): void {
    if (this.#shortRead === SHORT_IS_LAST) this.#hasEndOfStream = true;
    else if (this.#shortRead === SHORT_IS_EMPTY) this.isReadable = false;
  }

  #onNothingRead(result: number): number {
    if (result === 0) {
      this.#hasEndOfStream = true;
      return FLOW_MORE;
    }
    if (result === -EAGAIN) {
      this.isReadable = false;
      return FLOW_EMPTY;
    }
    this.error = -result;
    return FLOW_SOURCE_FAILED;
  }

  #onNotSent(result: number): number {
    if (result === 0 || isBusy(result)) {
      this.isFull = true;
      return FLOW_FULL;
    }
    return this.#failDestination(result);
  }

  #failDestination(result: number): number {
    this.error = -result;
    return FLOW_DESTINATION_FAILED;
  }
}

function isBusy(result: number): boolean {
  return result === -EAGAIN || result === -ENOBUFS || result === -ENOMEM;
}
