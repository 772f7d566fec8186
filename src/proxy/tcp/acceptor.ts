/**
 * A listening socket of one worker: accepts in batches, pauses when descriptors run out. Subclasses handle the
 * accepted connections.
 */
import { EPOLLIN } from "../../sys/epoll.ts";
import { EAGAIN, ECONNABORTED, EINTR, isExhaustion, isOutOfDescriptors } from "../../sys/errno.ts";
import type { Continuable, Pollable } from "../../sys/event-loop.ts";
import { SOCKADDR_MAX } from "../../sys/sockaddr.ts";
import { accept, waitingClients } from "../../sys/socket.ts";
import type { Endpoint } from "../../wire/index.ts";
import type { DescriptorWaiter } from "../table/descriptor-gate.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { readEndpoint } from "../table/socket-address.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Connections per turn: bounds how long a burst of clients delays open connections. */
const ACCEPTS_PER_TURN = 64;

export abstract class Acceptor implements Pollable, Continuable, DescriptorWaiter {
  #isClosed = false;
  #isWaiting = false;

  constructor(
    readonly context: TcpContext,
    readonly fd: number,
  ) {
    context.loop.watch(fd, EPOLLIN, this);
  }

  /** Its connections count against this share. */
  protected abstract get share(): DescriptorShare;

  /** Whether the share has room for one more. */
  protected abstract get hasRoom(): boolean;

  /** Closes the least important connection; false: none can be closed now. */
  protected abstract makeRoom(): boolean;

  /** Starts an accepted connection; `peer` returns its address until the next accept. */
  protected abstract start(fd: number): void;

  onEvents(): void {
    if (!this.#isWaiting) this.#acceptBatch();
  }

  onContinue(): void {
    if (!this.#isClosed && !this.#isWaiting) this.#acceptBatch();
  }

  onDescriptors(): void {
    this.#isWaiting = false;
    if (!this.#isClosed) this.context.loop.continueLater(this);
  }

  /** Accepts the clients that are queued, then stops listening. */
  close(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN * 16 && this.#acceptOne(); i++);
    this.#isClosed = true;
    this.context.loop.close(this.fd);
  }

  /**
   * Another process has the socket too and accepts on it: its queue stays, only this process's descriptor ends. Nothing is
   * done to the socket itself, and epoll has to be told: a descriptor that another process holds stays in its set.
   */
  forget(): void {
    this.#isClosed = true;
    this.context.loop.unwatch(this.fd);
    this.context.loop.close(this.fd);
  }

  /** The address of the connection just accepted. */
  protected peer(): Endpoint {
    return readEndpoint(this.context.memory.bytes, this.context.sockaddrAt);
  }

  #acceptBatch(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      if (!this.#acceptOne()) return;
    }
    this.context.loop.continueLater(this);
  }

  /** false: the queue is empty, or accepting is paused. */
  #acceptOne(): boolean {
    const { memory, sockaddrAt, sockaddrLengthAt, worker } = this.context;
    if (!this.hasRoom && !this.#hasMadeRoom()) return false;
    memory.int32[sockaddrLengthAt / 4] = SOCKADDR_MAX;
    const fd = accept(this.fd, memory.address(sockaddrAt), memory.address(sockaddrLengthAt));
    if (fd < 0) return this.#onNotAccepted(-fd);
    this.start(fd);
    if (!worker.descriptors.isScarce(fd)) return true;
    this.#pause();
    return false;
  }

  /** Closes nothing unless a client is queued; the next client raises a new edge. */
  #hasMadeRoom(): boolean {
    if (waitingClients(this.fd) === 0) return false;
    const { gate } = this.share.shares;
    if (this.makeRoom()) {
      gate.onShortage();
      return true;
    }
    if (!this.#isWaiting) this.share.wait(this);
    this.#isWaiting = true;
    return false;
  }

  #onNotAccepted(error: number): boolean {
    if (error === EAGAIN) return false;
    if (isOutOfDescriptors(error)) this.context.worker.descriptors.onExhausted();
    if (isExhaustion(error)) {
      this.#pause();
      return false;
    }
    // the client left the queue; any other error ends the batch, and the next client starts a new one
    return error === ECONNABORTED || error === EINTR;
  }

  #pause(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.context.worker.descriptors.wait(this);
  }
}
