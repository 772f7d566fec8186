/**
 * A sealed flow from another node: complete records are opened, and only authentic bytes are passed on.
 *
 * Only the end record ends the stream. Any other end, and a record that does not open, is an error: it could be the work
 * of an attacker on the path who cuts, changes, replays or drops data.
 *
 * Held, each in a block of its own: an incomplete record, and opened bytes that the destination has not taken. Nothing
 * more is read until the destination has taken them.
 */
import { EPROTO } from "../../../sys/errno.ts";
import { RECORD_END, RECORD_OVERHEAD_BYTES, type RecordOpener, recordLength } from "../../../wire/index.ts";
import type { Block } from "./block-pool.ts";
import { FLOW_EMPTY, FLOW_ENDED, FLOW_MORE, FLOW_SOURCE_FAILED, Flow } from "./flow.ts";
import { type FlowResources, RECORD_BLOCK_BYTES } from "./flow-resources.ts";

/** Per turn of the event loop: bounds how long one connection delays the others. */
const READS_PER_TURN = 8;

export class OpeningFlow extends Flow {
  #isEndOpened = false;
  /** The source is broken, so a missing end record is expected. */
  #isBroken = false;
  /** Records as received; null: none. */
  #sealed: Block | null = null;
  #sealedStart = 0;
  #sealedBytes = 0;
  /** Opened bytes that are not delivered; null: none. */
  #opened: Block | null = null;
  #openedStart = 0;
  #openedBytes = 0;

  constructor(
    readonly resources: FlowResources,
    sourceFd: number,
    destinationFd: number,
    readonly opener: RecordOpener,
    /** A record was not authentic, or the stream was cut off. */
    readonly onForged: () => void,
  ) {
    super(sourceFd, destinationFd);
  }

  get heldBytes(): number {
    return this.#openedBytes + this.#sealedBytes;
  }

  pump(): number {
    for (let reads = 0; reads < READS_PER_TURN; reads++) {
      if (this.#opened !== null) {
        const outcome = this.#deliver(this.#opened);
        if (outcome !== FLOW_EMPTY) return outcome;
      }
      if (this.#isEndOpened) {
        this.isEnded = true;
        return FLOW_ENDED;
      }
      if (this.error !== 0) return FLOW_SOURCE_FAILED;
      if (this.hasEndOfStream) return this.#fail();
      if (!this.isReadable) return FLOW_EMPTY;
      this.#read();
    }
    return FLOW_MORE;
  }

  override onBroken(isEndKnown: boolean): void {
    super.onBroken(isEndKnown);
    this.#isBroken = !isEndKnown;
  }

  release(): void {
    this.#releaseSealed();
    if (this.#opened !== null) this.resources.recordBlocks.giveBack(this.#opened);
    this.#opened = null;
    this.#openedBytes = 0;
  }

  /** One read, behind the incomplete record; there is always room for the rest of it. */
  #read(): void {
    const { recordBlocks, sockets } = this.resources;
    const block = (this.#sealed ??= recordBlocks.take());
    const room = RECORD_BLOCK_BYTES - this.#sealedBytes;
    const received = sockets.recv(
      this.sourceFd,
      block.arena.address(block.offset + this.#sealedBytes),
      room,
      0,
    );
    if (received > 0) {
      this.#sealedBytes += received;
      if (received < room) this.onShortRead();
      this.#openAll(block);
    } else if (this.onNothingRead(received) === FLOW_SOURCE_FAILED) {
      this.isReadable = false;
    }
    if (this.#sealedBytes === 0) this.#releaseSealed();
  }

  /** Opens all complete records; an incomplete one moves to the front. */
  #openAll(block: Block): void {
    const { bytes } = block.arena;
    this.#sealedStart = block.offset;
    while (!this.#isEndOpened && this.error === 0) {
      const length = recordLength(bytes, this.#sealedStart, this.#sealedBytes);
      if (length === 0 || length > this.#sealedBytes) break;
      if (length < 0 || !this.#open(bytes, length)) this.#fail();
      this.#sealedStart += length;
      this.#sealedBytes -= length;
    }
    if (this.#isEndOpened || this.error !== 0) this.#sealedBytes = 0;
    if (this.#sealedStart > block.offset && this.#sealedBytes > 0)
      bytes.copyWithin(block.offset, this.#sealedStart, this.#sealedStart + this.#sealedBytes);
  }

  #open(bytes: Uint8Array, length: number): boolean {
    const block = (this.#opened ??= this.resources.recordBlocks.take());
    const endAt = block.offset + this.#openedBytes;
    if (!this.opener.open(bytes, this.#sealedStart, length, block.arena.bytes, endAt)) return false;
    this.#isEndOpened = bytes[this.#sealedStart] === RECORD_END;
    this.#openedBytes += length - RECORD_OVERHEAD_BYTES;
    this.#openedStart = block.offset;
    return true;
  }

  /** FLOW_EMPTY once all is delivered. */
  #deliver(block: Block): number {
    while (this.#openedBytes > 0) {
      const sent = this.resources.sockets.send(
        this.destinationFd,
        block.arena.address(this.#openedStart),
        this.#openedBytes,
      );
      if (sent <= 0) return this.onNotSent(sent);
      this.#openedBytes -= sent;
      this.#openedStart += sent;
      this.bytes += sent;
    }
    this.resources.recordBlocks.giveBack(block);
    this.#opened = null;
    return FLOW_EMPTY;
  }

  #fail(): number {
    this.error = EPROTO;
    if (!this.#isBroken) this.onForged();
    return FLOW_SOURCE_FAILED;
  }

  #releaseSealed(): void {
    if (this.#sealed !== null) this.resources.recordBlocks.giveBack(this.#sealed);
    this.#sealed = null;
    this.#sealedBytes = 0;
  }
}
