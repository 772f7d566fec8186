/** Pausing while descriptors run out, and waiting for one to be closed. */
import { close, duplicate } from "../../sys/socket.ts";
import type { SharedCounters } from "./counters.ts";

/** Waits for a descriptor: a listener that has stopped accepting, a connection that could not dial. */
export interface DescriptorWaiter {
  onDescriptors(): void;
}

/**
 * Keeps the worker going when descriptors run out. Descriptor numbers are handed out lowest first, so a high one means
 * that few are left: accepting pauses then, and goes on when a connection has been closed.
 */
export class DescriptorGate {
  #waiters: DescriptorWaiter[] = [];
  /** Services that have used up their share and have clients waiting. */
  #sharesWaiting = 0;
  readonly #paused: Int32Array;
  readonly #exhausted: Int32Array;

  constructor(
    readonly scarceAtFd: number,
    counters: SharedCounters,
    readonly worker: number,
    /** any open descriptor, to see which number the next one gets */
    readonly wakeupFd: number,
    /** A listener or connection waits, or something has run out: `release` must be called from time to time meanwhile. */
    readonly onShortage: () => void,
  ) {
    this.#paused = counters.paused;
    this.#exhausted = counters.exhausted;
  }

  isScarce(fd: number): boolean {
    return fd >= this.scarceAtFd;
  }

  get isWaitedFor(): boolean {
    return this.#waiters.length > 0;
  }

  /** Calls `waiter.onDescriptors` once, after a descriptor has been closed or a little later. */
  wait(waiter: DescriptorWaiter): void {
    this.#waiters.push(waiter);
    this.#publishWaiting();
    this.onShortage();
  }

  /** So many services of this worker have clients waiting for descriptors of their share. */
  onSharesWaiting(count: number): void {
    const isMore = count > this.#sharesWaiting;
    this.#sharesWaiting = count;
    this.#publishWaiting();
    if (isMore) this.onShortage();
  }

  /** The kernel had no descriptor to give: EMFILE or ENFILE. */
  onExhausted(): void {
    this.#exhausted[this.worker]!++;
    this.onShortage();
  }

  /** Lets all waiters try again if there are descriptors. */
  release(): void {
    if (this.#waiters.length === 0 || !this.#hasRoom()) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#publishWaiting();
    for (const waiter of waiters) waiter.onDescriptors();
  }

  #publishWaiting(): void {
    this.#paused[this.worker] = this.#waiters.length + this.#sharesWaiting > 0 ? 1 : 0;
  }

  #hasRoom(): boolean {
    const fd = duplicate(this.wakeupFd);
    if (fd < 0) return false;
    close(fd);
    return !this.isScarce(fd);
  }
}
