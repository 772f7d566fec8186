/**
 * A flow of plain bytes.
 *
 * Short reads are copied through one shared buffer. As soon as a read fills it, bytes move by splice through a pooled
 * pipe, until reads are short again. Bytes that the destination does not take are held (in the pipe, or in a block)
 * and nothing more is read until they are gone, so held memory is bounded by one pipe or one block per direction.
 */

import { isCongestion } from "../../../sys/errno.ts";
import type { PipeEnds } from "../../../sys/pipe.ts";
import type { Block } from "./block-pool.ts";
import { FLOW_EMPTY, FLOW_ENDED, FLOW_MORE, Flow } from "./flow.ts";
import { COPY_BYTES, type FlowResources } from "./flow-resources.ts";
import { PIPE_BYTES } from "./pipe-pool.ts";

/** Short splices in a row that switch back to copying. */
const SHORT_SPLICES = 4;
/** Reads per turn of the event loop: bounds how long one connection delays the others. */
const READS_PER_TURN = 16;

export class PlainFlow extends Flow {
  /** Short splices until it copies again; 0: it copies. */
  #splicesLeft = 0;
  #pipe: PipeEnds | null = null;
  #block: Block | null = null;
  #blockStart = 0;
  /** Bytes in the pipe or the block. */
  #held = 0;

  constructor(
    readonly resources: FlowResources,
    sourceFd: number,
    destinationFd: number,
  ) {
    super(sourceFd, destinationFd);
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
      if (this.hasEndOfStream) {
        this.isEnded = true;
        return FLOW_ENDED;
      }
      if (!this.isReadable) return FLOW_EMPTY;
      const outcome = this.#splicesLeft > 0 ? this.#spliceOnce() : this.#copyOnce();
      if (outcome !== FLOW_MORE) return outcome;
    }
    return FLOW_MORE;
  }

  /** Splice does not pass an urgent byte. */
  override onUrgent(): void {
    super.onUrgent();
    this.#splicesLeft = 0;
  }

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
    const { buffer, sockets } = this.resources;
    const received = sockets.recv(this.sourceFd, buffer.address(0), COPY_BYTES, 0);
    if (received <= 0) return this.onNothingRead(received);
    if (received < COPY_BYTES) this.onShortRead();
    else if (!this.isReadOn) this.#splicesLeft = SHORT_SPLICES;
    const sent = sockets.send(this.destinationFd, buffer.address(0), received);
    if (sent === received) {
      this.bytes += sent;
      return FLOW_MORE;
    }
    if (sent < 0 && !isCongestion(-sent)) return this.failDestination(sent);
    const start = Math.max(0, sent);
    this.bytes += start;
    this.#holdInBlock(start, received - start);
    return FLOW_MORE;
  }

  #spliceOnce(): number {
    this.#pipe ??= this.resources.pipes.take();
    if (this.#pipe === null) {
      this.#splicesLeft = 0;
      return FLOW_MORE;
    }
    const moved = this.resources.sockets.splice(this.sourceFd, this.#pipe.writeFd, PIPE_BYTES);
    if (moved === 0) {
      // end of stream, or an urgent byte with FIN behind it: a read shows which
      this.#givePipeBack();
      this.#splicesLeft = 0;
      return FLOW_MORE;
    }
    if (moved < 0) {
      this.#givePipeBack();
      return this.onNothingRead(moved);
    }
    this.#held = moved;
    if (moved >= COPY_BYTES) this.#splicesLeft = SHORT_SPLICES;
    else this.#splicesLeft--;
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
    const { sockets } = this.resources;
    while (this.#held > 0) {
      const sent = sockets.splice(pipe.readFd, this.destinationFd, this.#held);
      if (sent <= 0) return this.onNotSent(sent);
      this.#held -= sent;
      this.bytes += sent;
    }
    return FLOW_EMPTY;
  }

  #deliverBlock(block: Block): number {
    const { sockets } = this.resources;
    while (this.#held > 0) {
      const sent = sockets.send(
        this.destinationFd,
        block.arena.address(block.offset + this.#blockStart),
        this.#held,
      );
      if (sent <= 0) return this.onNotSent(sent);
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
}
