/**
 * Waits for descriptors beside the runtime's own event loop: an epoll set that is asked once per turn of it.
 *
 * Bun's sockets hide some of what TCP tells (a FIN before the last byte is read, RST after FIN), so tests of the byte
 * path use descriptors. A wait ends when the descriptor is ready or closed, or at its deadline.
 */
import { Arena } from "../../../src/sys/arena.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLHUP,
  EVENT_DATA,
  EVENT_STRIDE,
  epollControl,
  epollCreate,
  epollWait,
} from "../../../src/sys/epoll.ts";
import { check } from "../../../src/sys/errno.ts";

const EPOLLONESHOT = 1 << 30;
const MAX_EVENTS = 64;
/** The workers run in threads of their own, so blocking this one for a moment costs them nothing. */
const TURN_MS = 1;

interface Wait {
  readonly events: number;
  readonly endMs: number;
  readonly resolve: (isReady: boolean) => void;
}

export class Readiness {
  readonly #epoll = check("epoll_create1", epollCreate());
  readonly #events = new Arena(MAX_EVENTS * EVENT_STRIDE * 4);
  readonly #waits = new Map<number, Wait[]>();
  readonly #watched = new Set<number>();
  #isTurning = false;

  /** False at the deadline. EPOLLERR and EPOLLHUP end every wait. */
  wait(fd: number, events: number, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waits = this.#waits.get(fd) ?? [];
      this.#waits.set(fd, [...waits, { events, endMs: performance.now() + deadlineMs, resolve }]);
      this.#arm(fd);
      this.#turnSoon();
    });
  }

  /** Call it before the descriptor is closed. */
  forget(fd: number): void {
    for (const wait of this.#waits.get(fd) ?? []) wait.resolve(true);
    this.#waits.delete(fd);
    this.#watched.delete(fd);
  }

  #arm(fd: number): void {
    const events = this.#waits.get(fd)!.reduce((all, wait) => all | wait.events, EPOLLONESHOT);
    const operation = this.#watched.has(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    check("epoll_ctl", epollControl(this.#epoll, operation, fd, events, 0));
    this.#watched.add(fd);
  }

  #turnSoon(): void {
    if (this.#isTurning || this.#waits.size === 0) return;
    this.#isTurning = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const count = check("epoll_wait", epollWait(this.#epoll, this.#events.address(0), MAX_EVENTS, TURN_MS));
    for (let i = 0, at = 0; i < count; i++, at += EVENT_STRIDE) {
      const events = this.#events.int32[at]! | (this.#events.int32[at]! & (EPOLLERR | EPOLLHUP) ? ~0 : 0);
      this.#settle(this.#events.int32[at + EVENT_DATA]!, (wait) => (wait.events & events) !== 0, true);
    }
    const nowMs = performance.now();
    for (const fd of [...this.#waits.keys()]) this.#settle(fd, (wait) => wait.endMs <= nowMs, false);
    this.#isTurning = false;
    this.#turnSoon();
  }

  /** Resolves those waits that are over and keeps waiting for the others. */
  #settle(fd: number, isOver: (wait: Wait) => boolean, isReady: boolean): void {
    const waits = this.#waits.get(fd);
    if (waits === undefined || (!isReady && !waits.some(isOver))) return;
    const rest = waits.filter((wait) => !isOver(wait));
    if (rest.length === 0) this.#waits.delete(fd);
    else this.#waits.set(fd, rest);
    for (const wait of waits) if (isOver(wait)) wait.resolve(isReady);
    // one-shot: whoever goes on waiting has to be armed anew
    if (rest.length > 0) this.#arm(fd);
  }
}
