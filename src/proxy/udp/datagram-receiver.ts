/** Receives from one UDP socket, one batch a turn, and hands every datagram to the socket's owner. */
import { EPOLLIN } from "../../sys/epoll.ts";
import { EAGAIN } from "../../sys/errno.ts";
import type { Continuable, Pollable } from "../../sys/event-loop.ts";
import { BATCH_SIZE, type UdpContext } from "./udp-context.ts";

/** Errors in a row after which a broken socket waits for its next event. */
const MAX_ERRORS = 16;

export interface DatagramOwner {
  /** A datagram is in this slot of the context's `incoming`, until `onBatchEnd` has returned. */
  onDatagram(slot: number): void;
  /** All datagrams of a batch have been handed over. */
  onBatchEnd(datagrams: number): void;
}

export class DatagramReceiver implements Pollable, Continuable {
  #errors = 0;
  #isQueued = false;
  #isClosed = false;
  #isPaused = false;

  constructor(
    readonly context: UdpContext,
    readonly fd: number,
    readonly owner: DatagramOwner,
  ) {
    context.loop.watch(fd, EPOLLIN, this);
  }

  onEvents(): void {
    if (!this.#isQueued) this.#receive();
  }

  onContinue(): void {
    this.#isQueued = false;
    if (!this.#isClosed && !this.#isPaused) this.#receive();
  }

  /** Datagrams wait in the socket, for this process or another that has it too. */
  pause(): void {
    this.#isPaused = true;
    this.context.loop.unwatch(this.fd);
  }

  resume(): void {
    this.#isPaused = false;
    this.context.loop.watch(this.fd, EPOLLIN, this);
  }

  close(): void {
    this.#isClosed = true;
    this.context.loop.close(this.fd);
  }

  /** One batch, so that replies are not held up. */
  #receive(): void {
    const { owner } = this;
    const count = this.context.incoming.receive(this.fd, 0, BATCH_SIZE);
    if (count < 0) return this.#onError(-count);
    this.#errors = 0;
    for (let slot = 0; slot < count; slot++) owner.onDatagram(slot);
    owner.onBatchEnd(count);
    // what arrives after a short batch raises a new edge
    if (count === BATCH_SIZE) this.#queue();
  }

  #onError(error: number): void {
    if (error !== EAGAIN && ++this.#errors < MAX_ERRORS) this.#queue();
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }
}
