/**
 * Messages of one size on many TCP connections, one thread, a recv or a send per wake-up and nothing else: both ends of
 * the exchange that the bench measures are made of it, so that they are not what is measured. Edge-triggered epoll.
 *
 * A connection is either receiving a message or sending one; what to do after a whole message is the owner's.
 */
import { Arena } from "../../../src/sys/arena.ts";
import {
  EPOLL_CTL_ADD,
  EPOLLET,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  EVENT_DATA,
  EVENT_STRIDE,
  epollControl,
  epollCreate,
  epollWait,
} from "../../../src/sys/epoll.ts";
import { EAGAIN, SysError } from "../../../src/sys/errno.ts";
import { close, recv, send, setNoDelay } from "../../../src/sys/socket.ts";

const MAX_EVENTS = 64;
const EVENTS_BYTES = 16 * MAX_EVENTS;
export const MAX_DESCRIPTORS = 1024;

/** What messages consist of, so that they can be recognised on the way. */
export const MESSAGE_BYTE = 0x50;

export class MessageLoop {
  readonly #epoll = epollCreate();
  readonly #arena: Arena;
  readonly #events: number;
  readonly #buffer: number;
  /** By descriptor: bytes of the message that have not been sent yet. */
  readonly #unsent = new Int32Array(MAX_DESCRIPTORS);
  /** By descriptor: bytes of the message that have not come yet. */
  readonly #missing = new Int32Array(MAX_DESCRIPTORS);

  /**
   * @param messageBytes of every message, in both directions
   * @param onMessage a whole one has come; the answer or the next one may be sent at once
   * @param onEnd the other side has closed, and the descriptor is closed, too
   * @param onReadable of descriptors that were added as listeners
   */
  constructor(
    readonly messageBytes: number,
    readonly onMessage: (fd: number) => void,
    readonly onEnd: (fd: number) => void,
    readonly onReadable: (fd: number) => void = () => {},
  ) {
    this.#arena = new Arena(EVENTS_BYTES + messageBytes);
    this.#events = this.#arena.take(EVENTS_BYTES);
    this.#buffer = this.#arena.take(messageBytes);
    this.#arena.bytes.fill(MESSAGE_BYTE, this.#buffer, this.#buffer + messageBytes);
  }

  /** From then on the connection is the loop's. A connection that is being made counts. */
  add(fd: number): void {
    if (fd >= MAX_DESCRIPTORS) throw new Error(`more than ${MAX_DESCRIPTORS} connections`);
    setNoDelay(fd);
    this.#unsent[fd] = 0;
    this.#missing[fd] = this.messageBytes;
    this.#register(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }

  addListener(fd: number): void {
    this.#missing[fd] = -1;
    this.#register(fd, EPOLLIN);
  }

  /** Begins a message; the one before must have gone. */
  send(fd: number): void {
    this.#unsent[fd] = this.messageBytes;
    this.#transmit(fd);
  }

  /** Waits, and does what can be done. */
  turn(timeoutMs: number): void {
    const { int32 } = this.#arena;
    const count = epollWait(this.#epoll, this.#arena.address(this.#events), MAX_EVENTS, timeoutMs);
    if (count < 0) throw new SysError("epoll_wait", -count);
    for (let index = 0; index < count; index++) {
      const word = (this.#events >> 2) + index * EVENT_STRIDE;
      this.#onEvent(int32[word + EVENT_DATA]!, int32[word]!);
    }
  }

  #register(fd: number, events: number): void {
    const result = epollControl(this.#epoll, EPOLL_CTL_ADD, fd, events, 0);
    if (result < 0) throw new SysError("epoll_ctl", -result);
  }

  #onEvent(fd: number, events: number): void {
    if (this.#missing[fd] === -1) return this.onReadable(fd);
    if ((events & EPOLLOUT) !== 0 && this.#unsent[fd]! > 0) this.#transmit(fd);
    if ((events & ~EPOLLOUT) !== 0) this.#receive(fd, (events & EPOLLRDHUP) !== 0);
  }

  /** A failed send is left to the receiving side, which learns of it, too. */
  #transmit(fd: number): void {
    while (this.#unsent[fd]! > 0) {
      const sent = send(fd, this.#arena.address(this.#buffer), this.#unsent[fd]!);
      if (sent <= 0) return;
      this.#unsent[fd]! -= sent;
    }
  }

  /** One read is all there is: nobody sends a second message before the answer to the first, or its end. */
  #receive(fd: number, hasEnded: boolean): void {
    for (;;) {
      const wanted = this.#missing[fd]!;
      const received = recv(fd, this.#arena.address(this.#buffer), wanted, 0);
      if (received === -EAGAIN) return;
      if (received <= 0) return this.#end(fd);
      this.#missing[fd]! -= received;
      if (received === wanted) {
        this.#missing[fd] = this.messageBytes;
        this.onMessage(fd);
      }
      if (!hasEnded) return;
    }
  }

  #end(fd: number): void {
    close(fd);
    this.onEnd(fd);
  }
}
