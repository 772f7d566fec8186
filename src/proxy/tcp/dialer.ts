/**
 * Finds a task for a client: connects to the one the balancer picks, and to the next when that one fails at once or
 * has not answered within the hedge delay. The first to accept wins; the others are closed. A client sees a failure
 * only when every task has failed.
 */
import { EPOLLOUT } from "../../sys/epoll.ts";
import { EAGAIN, EALREADY, EINPROGRESS, EISCONN, EMFILE, ENFILE, ETIMEDOUT } from "../../sys/errno.ts";
import { connect, send, setNoDelay, setOutOfBandInline, tcpSocket } from "../../sys/socket.ts";
import { hashClient } from "../balance/index.ts";
import type { DescriptorWaiter } from "../worker/context.ts";
import type { Pollable } from "../worker/event-loop.ts";
import type { Target } from "../worker/target.ts";
import { READ_EVENTS, type TcpConnection } from "./connection.ts";
import { writeProxyHeader } from "./send-proxy.ts";
import type { TcpContext } from "./tcp-context.ts";

export class Dialer implements DescriptorWaiter {
  readonly #clientHash: number;
  /** Targets that have failed or are being tried; bounded by the number of tasks. */
  #tried: Target[] | null = null;
  #attempts: Attempt[] | null = null;
  /** No task is left to try but those under way. */
  #isLastCall = false;
  #lacksDescriptor = false;
  #isOver = false;

  constructor(
    readonly context: TcpContext,
    readonly connection: TcpConnection,
  ) {
    const { client } = connection;
    this.#clientHash = hashClient(client.family, client.bytes, client.offset);
  }

  /** Tries one more task. Ends in `onDialed`, `onDialFailed`, or an attempt that is still going on. */
  next(): void {
    const { loop } = this.context;
    this.connection.refreshRoute();
    for (;;) {
      const target = this.connection.route.balancer.pick(this.#clientHash, loop.nowMs, this.#tried);
      if (target === null) return this.#onNoneLeft();
      const fd = tcpSocket(target.family);
      if (fd === -EMFILE || fd === -ENFILE) return this.#awaitDescriptor();
      if (fd < 0) {
        this.#onFailed(target, -fd);
        continue;
      }
      setOutOfBandInline(fd);
      const outcome = this.#connect(target, fd);
      if (outcome === 0) return this.#win(target, fd, false);
      if (outcome === -EALREADY || outcome === -EINPROGRESS) return this.#await(target, fd);
      loop.close(fd);
      this.#onFailed(target, -outcome);
    }
  }

  onDescriptors(): void {
    if (this.#isOver || !this.#lacksDescriptor) return;
    this.#lacksDescriptor = false;
    this.next();
  }

  /** A reload may have brought a task to a client that waits for the last ones. */
  onTargetsChanged(): void {
    if (this.#isLastCall && !this.#lacksDescriptor) this.next();
  }

  /** The hedge delay is over, or the last tasks have had their time. */
  onDeadline(): void {
    for (const attempt of this.#attempts ?? []) attempt.onSlow();
    if (this.#isLastCall) this.#fail();
    else this.next();
  }

  /** Lets go of everything that is under way: the client has gone, or has a task. */
  abandon(): void {
    this.#isOver = true;
    if (this.#attempts === null) return;
    for (const attempt of this.#attempts) this.context.loop.close(attempt.fd);
    this.#attempts = null;
  }

  onAttemptEvents(attempt: Attempt): void {
    const outcome = this.#connectAgain(attempt.target, attempt.fd);
    if (outcome === -EALREADY) return;
    const { nowMs } = this.context.loop;
    // one that was cut off meanwhile has nobody to cut this connection any more
    if (outcome === 0 && attempt.target.cutAtMs > nowMs) {
      this.#takeOut(attempt);
      return this.#win(attempt.target, attempt.fd, true);
    }
    this.#drop(attempt);
    if (outcome !== 0) attempt.target.onFailed(-outcome, nowMs);
    this.next();
  }

  /** On loopback and often on a LAN the handshake is over when the first call returns, so it asks at once. */
  #connect(target: Target, fd: number): number {
    const { memory, sockaddrAt } = this.context;
    memory.bytes.set(target.sockaddr, sockaddrAt);
    const outcome = connect(fd, memory.address(sockaddrAt), target.sockaddrLength);
    return outcome === -EINPROGRESS ? this.#connectAgain(target, fd) : outcome;
  }

  #connectAgain(target: Target, fd: number): number {
    const { memory, sockaddrAt } = this.context;
    memory.bytes.set(target.sockaddr, sockaddrAt);
    const outcome = connect(fd, memory.address(sockaddrAt), target.sockaddrLength);
    return outcome === -EISCONN ? 0 : outcome;
  }

  #await(target: Target, fd: number): void {
    const { loop } = this.context;
    const attempt = new Attempt(this, target, fd);
    this.#attempts ??= [];
    this.#attempts.push(attempt);
    this.#addTried(target);
    if (loop.watch(fd, READ_EVENTS | EPOLLOUT, attempt) < 0) {
      this.#drop(attempt);
      return this.#fail();
    }
    this.#isLastCall = false;
    this.context.hedgeDeadline.arm(this.connection, loop.nowMs);
  }

  #win(target: Target, fd: number, isWatched: boolean): void {
    if (this.connection.route.rules.sendProxy !== "none" && !this.#sendProxyHeader(fd)) {
      this.context.loop.close(fd);
      this.#onFailed(target, EAGAIN);
      return this.next();
    }
    this.abandon();
    this.connection.onDialed(target, fd, isWatched);
  }

  /** Into the empty buffer of a fresh socket, so it goes whole or the connection is broken. */
  #sendProxyHeader(fd: number): boolean {
    setNoDelay(fd);
    const { memory, headerAt } = this.context;
    const length = writeProxyHeader(this.context, this.connection);
    return send(fd, memory.address(headerAt), length) === length;
  }

  /** As long as for the last tasks. */
  #awaitDescriptor(): void {
    this.#lacksDescriptor = true;
    this.#isLastCall = true;
    this.context.connectDeadline.arm(this.connection, this.context.loop.nowMs);
    this.context.worker.descriptors.wait(this);
  }

  #onNoneLeft(): void {
    if (this.#attempts === null || this.#attempts.length === 0) return this.#fail();
    if (this.#isLastCall) return;
    this.#isLastCall = true;
    this.context.connectDeadline.arm(this.connection, this.context.loop.nowMs);
  }

  #fail(): void {
    this.abandon();
    this.connection.onDialFailed(this.#lacksDescriptor ? "out-of-descriptors" : "no-task");
  }

  #onFailed(target: Target, errnoValue: number): void {
    target.onFailed(errnoValue, this.context.loop.nowMs);
    this.#addTried(target);
  }

  #addTried(target: Target): void {
    this.#tried ??= [];
    this.#tried.push(target);
  }

  #drop(attempt: Attempt): void {
    this.#takeOut(attempt);
    this.context.loop.close(attempt.fd);
  }

  #takeOut(attempt: Attempt): void {
    this.#attempts!.splice(this.#attempts!.indexOf(attempt), 1);
  }
}

/** A connect that is under way. */
class Attempt implements Pollable {
  #isCounted = false;

  constructor(
    readonly dialer: Dialer,
    readonly target: Target,
    readonly fd: number,
  ) {}

  onEvents(): void {
    this.dialer.onAttemptEvents(this);
  }

  /** Counted once as a failure, though it may still win. */
  onSlow(): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.target.onFailed(ETIMEDOUT, this.dialer.context.loop.nowMs);
  }
}
