/**
 * One worker's listening socket of a published TCP port: accepts in batches, applies the connection limit, starts
 * connections.
 */

import { EPOLLIN } from "../../sys/epoll.ts";
import { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM } from "../../sys/errno.ts";
import { SOCKADDR_MAX } from "../../sys/sockaddr.ts";
import { accept, close, setResetOnClose } from "../../sys/socket.ts";
import type { Endpoint } from "../../wire/index.ts";
import { readEndpoint } from "../socket-address.ts";
import type { DescriptorWaiter } from "../worker/context.ts";
import type { Continuable, Pollable } from "../worker/event-loop.ts";
import type { Route } from "../worker/route.ts";
import { TcpConnection } from "./connection.ts";
import { connectionRecord } from "./connection-record.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Connections per turn: bounds how long a storm of clients holds up the connections that are open. */
const ACCEPTS_PER_TURN = 64;

export class TcpListener implements Pollable, Continuable, DescriptorWaiter {
  #isClosed = false;
  #isWaiting = false;

  constructor(
    readonly context: TcpContext,
    readonly fd: number,
    public route: Route,
  ) {
    context.loop.watch(fd, EPOLLIN, this);
  }

  onEvents(): void {
    if (!this.#isWaiting) this.#acceptBatch();
  }

  onGoOn(): void {
    if (!this.#isClosed && !this.#isWaiting) this.#acceptBatch();
  }

  onDescriptors(): void {
    this.#isWaiting = false;
    if (!this.#isClosed) this.context.loop.goOn(this);
  }

  /** Connections look after themselves: nothing to do. */
  onTargetsChanged(): void {}

  /** Serves whoever is in the queue already, then stops listening. */
  close(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN * 16 && this.#acceptOne(); i++);
    this.#isClosed = true;
    this.context.loop.close(this.fd);
  }

  #acceptBatch(): void {
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      if (!this.#acceptOne()) return;
    }
    this.context.loop.goOn(this);
  }

  /** false when the queue is empty or accepting is paused. */
  #acceptOne(): boolean {
    const { memory, sockaddrAt, sockaddrLengthAt, worker } = this.context;
    memory.int32[sockaddrLengthAt / 4] = SOCKADDR_MAX;
    const fd = accept(this.fd, memory.address(sockaddrAt), memory.address(sockaddrLengthAt));
    if (fd < 0) return this.#onNotAccepted(-fd);
    this.#start(fd);
    if (!worker.descriptors.isScarce(fd)) return true;
    this.#pause();
    return false;
  }

  #onNotAccepted(error: number): boolean {
    if (error === EAGAIN) return false;
    if (error === EMFILE || error === ENFILE || error === ENOBUFS || error === ENOMEM) {
      this.#pause();
      return false;
    }
    // the client went while it was waiting; any other error ends the batch, the next client starts another
    return error === ECONNABORTED || error === EINTR;
  }

  #pause(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.context.worker.descriptors.wait(this);
  }

  #start(fd: number): void {
    const { rules } = this.route;
    const { open } = this.context.worker.counters;
    const others = Atomics.add(open, rules.slot, 1);
    if (rules.maxConnections > 0 && others >= rules.maxConnections) {
      Atomics.sub(open, rules.slot, 1);
      return this.#refuse(fd);
    }
    new TcpConnection(this.context, fd, this, this.#client()).start();
  }

  /** Over the limit: with RST, and without the cost of a connection. */
  #refuse(fd: number): void {
    const { recorder } = this.context.worker;
    const reason = "connection-limit";
    this.route.rules.refuse(reason);
    setResetOnClose(fd);
    close(fd);
    if (!recorder.isOn) return;
    const end = { target: null, bytesIn: 0, bytesOut: 0, durationMs: 0, reason };
    recorder.add(connectionRecord(this.route, this.#client(), end));
  }

  /** Of the connection just accepted. */
  #client(): Endpoint {
    return readEndpoint(this.context.memory.bytes, this.context.sockaddrAt);
  }
}
