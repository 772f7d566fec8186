/**
 * A sealed flow to another node: the bytes that the source has now become one record. A short message is sent at once as
 * a record of its own; a long stream fills its records.
 *
 * A record that the destination does not take completely is held in a block, and nothing more is read until it is sent.
 */
import { RECORD_END, RECORD_MAX_PLAIN_BYTES, RECORD_STREAM, type RecordSealer } from "../../../wire/index.ts";
import type { Block } from "./block-pool.ts";
import { FLOW_EMPTY, FLOW_ENDED, FLOW_MORE, FLOW_SOURCE_FAILED, Flow } from "./flow.ts";
import type { FlowResources } from "./flow-resources.ts";

/** Per turn of the event loop: bounds how long one connection delays the others. */
const RECORDS_PER_TURN = 8;

export class SealingFlow extends Flow {
  /** false: an end of stream comes from a broken source and is not sealed as an end. */
  #isEndKnown = true;
  #isEndSealed = false;
  /** Sealed records that are not sent; null: none. */
  #block: Block | null = null;
  #blockStart = 0;
  #held = 0;
  /** Bytes of the stream in the block. */
  #plainBytes = 0;

  constructor(
    readonly resources: FlowResources,
    sourceFd: number,
    destinationFd: number,
    readonly sealer: RecordSealer,
  ) {
    super(sourceFd, destinationFd);
  }

  get heldBytes(): number {
    return this.#held;
  }

  pump(): number {
    for (let records = 0; records < RECORDS_PER_TURN; records++) {
      if (this.#block !== null) {
        const outcome = this.#deliver(this.#block);
        if (outcome !== FLOW_EMPTY) return outcome;
      }
      if (this.#isEndSealed || (this.hasEndOfStream && !this.#isEndKnown)) {
        this.isEnded = true;
        return FLOW_ENDED;
      }
      if (this.error !== 0) return FLOW_SOURCE_FAILED;
      if (!this.isReadable && !this.hasEndOfStream) return FLOW_EMPTY;
      this.#seal(this.#read());
    }
    return FLOW_MORE;
  }

  override onBroken(isEndKnown: boolean): void {
    super.onBroken(isEndKnown);
    this.#isEndKnown = isEndKnown;
  }

  release(): void {
    if (this.#block !== null) this.resources.recordBlocks.giveBack(this.#block);
    this.#block = null;
    this.#held = 0;
  }

  /** Reads until a record is full or the source is empty; returns how many bytes. */
  #read(): number {
    const { buffer, sockets } = this.resources;
    let length = 0;
    while (length < RECORD_MAX_PLAIN_BYTES && this.isReadable && !this.hasEndOfStream) {
      const room = RECORD_MAX_PLAIN_BYTES - length;
      const received = sockets.recv(this.sourceFd, buffer.address(length), room, 0);
      if (received <= 0) {
        // an error is reported once, so it is kept until the bytes before it are sent
        if (this.onNothingRead(received) === FLOW_SOURCE_FAILED) this.isReadable = false;
        break;
      }
      length += received;
      if (received < room) this.onShortRead();
    }
    return length;
  }

  /** The end record is sent with the last bytes. */
  #seal(length: number): void {
    const isEnd = this.hasEndOfStream && this.#isEndKnown;
    if (length === 0 && !isEnd) return;
    const block = (this.#block = this.resources.recordBlocks.take());
    const { bytes } = block.arena;
    let sealed = 0;
    if (length > 0)
      sealed = this.sealer.seal(RECORD_STREAM, this.resources.buffer.bytes, 0, length, bytes, block.offset);
    if (isEnd) {
      sealed += this.sealer.seal(RECORD_END, bytes, 0, 0, bytes, block.offset + sealed);
      this.#isEndSealed = true;
    }
    this.#blockStart = block.offset;
    this.#held = sealed;
    this.#plainBytes = length;
  }

  /** FLOW_EMPTY once nothing is held. */
  #deliver(block: Block): number {
    while (this.#held > 0) {
      const sent = this.resources.sockets.send(
        this.destinationFd,
        block.arena.address(this.#blockStart),
        this.#held,
      );
      if (sent <= 0) return this.onNotSent(sent);
      this.#held -= sent;
      this.#blockStart += sent;
    }
    this.bytes += this.#plainBytes;
    this.resources.recordBlocks.giveBack(block);
    this.#block = null;
    return FLOW_EMPTY;
  }
}
