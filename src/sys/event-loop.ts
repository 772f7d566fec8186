/**
 * One thread's loop: waits in epoll, calls handlers, runs continuations, expires deadlines.
 *
 * It is edge-triggered: a handler reads until the kernel has nothing left, or asks by `continueLater` to be called again.
 * An event for a descriptor that was closed earlier in the same batch is recognised by its generation and dropped.
 */
import { Arena } from "./arena.ts";
import { Deadlines } from "./deadline-list.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EVENT_DATA,
  EVENT_STRIDE,
  epollControl,
  epollCreate,
  epollWait,
} from "./epoll.ts";
import { check } from "./errno.ts";
import * as socket from "./socket.ts";

const MAX_EVENTS = 512;
const EVENT_BYTES = EVENT_STRIDE * 4;

export interface Pollable {
  /** @param events EPOLL* bits */
  onEvents(fd: number, events: number): void;
}

export interface Continuable {
  onContinue(): void;
}

export interface TurnEnder {
  onTurnEnd(): void;
}

/** What a handler uses of its loop. */
export type Loop = Pick<
  EventLoop,
  "nowMs" | "deadlines" | "watch" | "rewatch" | "unwatch" | "handOver" | "close" | "continueLater"
>;

export class EventLoop {
  /** Monotonic, read once per turn. */
  nowMs = performance.now();
  /** Events handled so far: a measure of the work done. */
  events = 0;
  readonly deadlines = new Deadlines();
  readonly #epoll = check("epoll_create1", epollCreate());
  readonly #events = new Arena(MAX_EVENTS * EVENT_BYTES);
  /** by descriptor; bounded by the process's limit of open files */
  readonly #handlers: (Pollable | null)[] = [];
  readonly #generations: number[] = [];
  /** For the next turn; the other one is being run or empty. */
  #continuing: Continuable[] = [];
  #continuingSpare: Continuable[] = [];
  readonly #atTurnEnd: TurnEnder[] = [];
  readonly #atEveryTurnEnd: TurnEnder[] = [];
  #isStopped = false;

  /** Starts watching `fd`; EPOLLET is added. 0 or -errno. */
  watch(fd: number, events: number, handler: Pollable): number {
    const generation = this.#generations[fd] ?? 0;
    while (this.#handlers.length <= fd) {
      this.#handlers.push(null);
      this.#generations.push(0);
    }
    this.#handlers[fd] = handler;
    return epollControl(this.#epoll, EPOLL_CTL_ADD, fd, events | EPOLLET, generation);
  }

  /** Changes what is watched; a condition that already holds is reported again. */
  rewatch(fd: number, events: number): void {
    epollControl(this.#epoll, EPOLL_CTL_MOD, fd, events | EPOLLET, this.#generations[fd]!);
  }

  /** Hands a watched descriptor to another handler. */
  handOver(fd: number, handler: Pollable): void {
    this.#handlers[fd] = handler;
  }

  /** Stops watching a descriptor, which stays open; events still queued for it are dropped. */
  unwatch(fd: number): void {
    if (this.#handlers[fd] === undefined || this.#handlers[fd] === null) return;
    this.#handlers[fd] = null;
    this.#generations[fd] = (this.#generations[fd]! + 1) | 0;
    epollControl(this.#epoll, EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Closes a descriptor, watched or not; events still queued for it are dropped. */
  close(fd: number): void {
    if (fd < this.#handlers.length) {
      this.#handlers[fd] = null;
      this.#generations[fd] = (this.#generations[fd]! + 1) | 0;
    }
    socket.close(fd);
  }

  /** Calls `item.onContinue` in the next turn, which then does not wait, after that turn's events. */
  continueLater(item: Continuable): void {
    this.#continuing.push(item);
  }

  /** Calls `item.onTurnEnd` before the loop waits again: for what is gathered over a turn. */
  atTurnEnd(item: TurnEnder): void {
    this.#atTurnEnd.push(item);
  }

  /** Registered once: `item.onTurnEnd` is called at the end of every turn, after everything else. */
  atEveryTurnEnd(item: TurnEnder): void {
    this.#atEveryTurnEnd.push(item);
  }

  /** Everything watched now. */
  *handlers(): Generator<Pollable> {
    for (const handler of this.#handlers) if (handler !== null) yield handler;
  }

  stop(): void {
    this.#isStopped = true;
  }

  run(): void {
    while (!this.#isStopped) this.#turn();
    socket.close(this.#epoll);
  }

  #turn(): void {
    const continuing = this.#continuing;
    this.#continuing = this.#continuingSpare;
    const timeoutMs = continuing.length > 0 ? 0 : this.deadlines.untilNext(this.nowMs);
    const count = check("epoll_wait", epollWait(this.#epoll, this.#events.address(0), MAX_EVENTS, timeoutMs));
    this.nowMs = performance.now();
    this.events += count;
    const words = this.#events.int32;
    for (let i = 0, at = 0; i < count; i++, at += EVENT_STRIDE) {
      const fd = words[at + EVENT_DATA]!;
      if (words[at + EVENT_DATA + 1] !== this.#generations[fd]) continue;
      this.#handlers[fd]?.onEvents(fd, words[at]!);
    }
    for (const item of continuing) item.onContinue();
    continuing.length = 0;
    this.#continuingSpare = continuing;
    for (const item of this.#atTurnEnd) item.onTurnEnd();
    this.#atTurnEnd.length = 0;
    this.deadlines.expire(this.nowMs);
    for (const item of this.#atEveryTurnEnd) item.onTurnEnd();
  }
}
