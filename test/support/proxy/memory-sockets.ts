/**
 * TCP sockets and the loop that watches them, in memory: the kernel's part in tests of the proxy's TCP state machines.
 * Both ends of a connection are here; the test works with the end of the client, the task or the other node.
 *
 *   send ──▶ queue (sendBytes) ──▶ incoming of the other end (windowBytes) ──▶ recv
 *
 * Edge-triggered like epoll: a change at a watched socket is reported once, by the next `turn`, with all conditions that
 * hold then. Time passes only in `advance`.
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { Deadlines } from "../../../src/sys/deadline-list.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from "../../../src/sys/epoll.ts";
import {
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EISCONN,
  EMFILE,
  EPIPE,
} from "../../../src/sys/errno.ts";
import type { Continuable, Loop, Pollable } from "../../../src/sys/event-loop.ts";
import type { PipeEnds } from "../../../src/sys/pipe.ts";
import { writeSockaddr } from "../../../src/sys/sockaddr.ts";
import { MSG_PEEK } from "../../../src/sys/socket.ts";
import type { TcpSockets } from "../../../src/sys/tcp-sockets.ts";

const FIRST_FD = 100;
const WINDOW_BYTES = 1 << 20;
const SEND_BYTES = 64 * 1024;
const PIPE_BYTES = 64 * 1024;

/** One end of a connection. */
export class MemorySocket {
  other: MemorySocket | null = null;
  incoming = Buffer.alloc(0);
  /** Everything that has ever been in `incoming`. */
  readonly arrived: Buffer[] = [];
  /** Accepted by send, but the other end's window is full. */
  queue = Buffer.alloc(0);
  windowBytes = WINDOW_BYTES;
  sendBytes = SEND_BYTES;
  /** The next error that a call reports. */
  error = 0;
  isReset = false;
  /** FIN has arrived, or is on its way behind the other end's queue. */
  hasEnded = false;
  isShutDown = false;
  isClosed = false;
  resetsOnClose = false;
  /** Where the urgent byte is in `incoming`; -1: there is none. */
  urgentAt = -1;
  wasRefused = false;
  /** Transmissions in a row without an answer. */
  unanswered = 0;
  readonly options: string[] = [];

  constructor(
    readonly kernel: MemorySockets,
    readonly fd: number,
  ) {}

  /** What the peer of the code under test does: */
  write(text: string | Buffer): void {
    const bytes = Buffer.from(text as string, "latin1");
    const sent = this.take(bytes);
    if (sent !== bytes.length) throw new Error(`only ${sent} of ${bytes.length} bytes fit`);
  }

  writeUrgent(byte: string): void {
    this.other!.urgentAt = this.other!.incoming.length;
    this.write(byte);
  }

  /** Everything that has arrived, or so much of it. */
  read(bytes = this.incoming.length): string {
    const text = this.incoming.subarray(0, bytes).toString("latin1");
    this.drop(bytes);
    return text;
  }

  end(): void {
    this.isShutDown = true;
    this.flush();
  }

  reset(): void {
    this.resetsOnClose = true;
    this.kernel.close(this.fd);
  }

  /** How the stream from the other end is: "reset" hides what can still be read. */
  get state(): "open" | "ended" | "reset" {
    if (this.isReset) return "reset";
    return this.hasEnded ? "ended" : "open";
  }

  /** Bytes accepted, or 0 when the queue is full. */
  take(bytes: Buffer): number {
    const { other } = this;
    const room = this.sendBytes - this.queue.length + (other?.room ?? 0);
    const taken = Math.min(bytes.length, Math.max(0, room));
    this.queue = Buffer.concat([this.queue, bytes.subarray(0, taken)]);
    this.flush();
    return taken;
  }

  /** Moves what fits into the other end's window, and FIN behind it. */
  flush(): void {
    const { other } = this;
    if (other === null) return;
    const moved = Math.min(this.queue.length, other.room);
    other.incoming = Buffer.concat([other.incoming, this.queue.subarray(0, moved)]);
    other.arrived.push(this.queue.subarray(0, moved));
    this.queue = this.queue.subarray(moved);
    const ends = this.isShutDown && this.queue.length === 0 && !other.hasEnded;
    if (ends) other.hasEnded = true;
    if (moved > 0 || ends) this.kernel.raise(other);
    if (moved > 0 && this.wasRefused && this.isWritable) {
      this.wasRefused = false;
      this.kernel.raise(this);
    }
  }

  drop(bytes: number): void {
    this.incoming = this.incoming.subarray(bytes);
    this.urgentAt = this.urgentAt >= bytes ? this.urgentAt - bytes : -1;
    this.other?.flush();
  }

  get room(): number {
    return Math.max(0, this.windowBytes - this.incoming.length);
  }

  /** As Linux sees it: a third of the buffer is free. */
  get isWritable(): boolean {
    return this.other !== null && this.queue.length * 3 <= this.sendBytes * 2;
  }

  /** How much one call may read: it stops in front of an urgent byte. */
  readable(bytes: number): number {
    const end = this.urgentAt > 0 ? this.urgentAt : this.incoming.length;
    return Math.min(bytes, end);
  }

  get conditions(): number {
    const hasEnd = this.hasEnded || this.isReset;
    const isWritable = this.isReset || this.isWritable;
    return (
      (this.incoming.length > 0 || hasEnd ? EPOLLIN : 0) |
      (hasEnd ? EPOLLRDHUP : 0) |
      (this.urgentAt >= 0 ? EPOLLPRI : 0) |
      (isWritable ? EPOLLOUT : 0) |
      (this.error !== 0 ? EPOLLERR : 0) |
      (this.isReset || (this.hasEnded && this.isShutDown) ? EPOLLHUP : 0)
    );
  }
}

/** A port that the code under test connects to. */
export class MemoryPort {
  /** Silent: neither accepts nor refuses until told. */
  mode: "accept" | "refuse" | "silent" = "accept";
  /** What a connect fails with where it is refused. */
  connectError = ECONNREFUSED;
  /** The far ends of accepted connections. */
  readonly accepted: MemorySocket[] = [];
  /** The near ends of connects that have no answer yet. */
  readonly pending: MemorySocket[] = [];
  /** Answers at once: a task, or another node under test. */
  onAccept: ((socket: MemorySocket) => void) | null = null;

  constructor(readonly kernel: MemorySockets) {}

  get last(): MemorySocket {
    return this.accepted.at(-1)!;
  }

  accept(near: MemorySocket): void {
    const far = this.kernel.createSocket();
    near.other = far;
    far.other = near;
    this.accepted.push(far);
    this.onAccept?.(far);
    this.kernel.raise(near);
  }

  /** Answers the connects that wait. */
  acceptPending(): void {
    for (const near of this.pending.splice(0)) if (!near.isClosed) this.accept(near);
  }

  refusePending(errnoValue = ECONNREFUSED): void {
    for (const near of this.pending.splice(0)) {
      near.error = errnoValue;
      near.isReset = true;
      this.kernel.raise(near);
    }
  }
}

interface MemoryPipe {
  bytes: Buffer;
}

interface Watched {
  handler: Pollable;
  events: number;
}

export class MemorySockets implements TcpSockets, Loop {
  nowMs = 1_000_000;
  readonly deadlines = new Deadlines();
  /** So many more sockets, pipes and watches can be had. */
  descriptorsLeft = Number.POSITIVE_INFINITY;
  watchesLeft = Number.POSITIVE_INFINITY;
  roundTrip = 0;
  /** Calls by name, for what must not happen too often. */
  readonly calls: string[] = [];
  readonly #sockets = new Map<number, MemorySocket>();
  readonly #pipes = new Map<number, MemoryPipe>();
  readonly #ports = new Map<number, MemoryPort>();
  readonly #watched = new Map<number, Watched>();
  readonly #ready = new Set<MemorySocket>();
  #queued: Continuable[] = [];
  #lastFd = FIRST_FD;

  // --- for tests

  port(number: number): MemoryPort {
    let port = this.#ports.get(number);
    if (port === undefined) {
      port = new MemoryPort(this);
      this.#ports.set(number, port);
    }
    return port;
  }

  /** A connection that has been accepted: the near end is for the code under test. */
  createPair(): { near: MemorySocket; far: MemorySocket } {
    const [near, far] = [this.createSocket(), this.createSocket()];
    near.other = far;
    far.other = near;
    return { near, far };
  }

  createSocket(): MemorySocket {
    const socket = new MemorySocket(this, ++this.#lastFd);
    this.#sockets.set(socket.fd, socket);
    return socket;
  }

  raise(socket: MemorySocket): void {
    if (this.#watched.has(socket.fd)) this.#ready.add(socket);
  }

  /** Events, then what was queued, then deadlines: as one turn of the real loop. */
  turn(): void {
    const ready = [...this.#ready];
    this.#ready.clear();
    const queued = this.#queued;
    this.#queued = [];
    for (const socket of ready) {
      const watched = this.#watched.get(socket.fd);
      const events = socket.conditions & ((watched?.events ?? 0) | EPOLLERR | EPOLLHUP);
      if (events !== 0) watched?.handler.onEvents(socket.fd, events);
    }
    for (const item of queued) item.onContinue();
    this.deadlines.expire(this.nowMs);
  }

  /** Turns until nothing is left to do. */
  run(): void {
    for (let turns = 0; this.#ready.size + this.#queued.length > 0; turns++) {
      if (turns === 10_000) throw new Error("the sockets never become idle");
      this.turn();
    }
  }

  /** So much time passes, deadline by deadline. */
  advance(ms: number): void {
    this.run();
    for (const endMs = this.nowMs + ms; ; this.run()) {
      const nextMs = this.deadlines.untilNext(this.nowMs);
      if (nextMs < 0 || this.nowMs + nextMs > endMs) {
        this.nowMs = endMs;
        return;
      }
      this.nowMs += nextMs;
      this.turn();
    }
  }

  isOpen(fd: number): boolean {
    return this.#sockets.has(fd) || this.#pipes.has(fd);
  }

  // --- Loop

  unwatch(fd: number): void {
    this.#watched.delete(fd);
  }

  watch(fd: number, events: number, handler: Pollable): number {
    if (this.watchesLeft-- <= 0) return -EMFILE;
    this.#watched.set(fd, { handler, events });
    this.#report(fd);
    return 0;
  }

  rewatch(fd: number, events: number): void {
    this.#watched.get(fd)!.events = events;
    this.#report(fd);
  }

  handOver(fd: number, handler: Pollable): void {
    this.#watched.get(fd)!.handler = handler;
  }

  continueLater(item: Continuable): void {
    this.#queued.push(item);
  }

  #report(fd: number): void {
    const socket = this.#socket(fd);
    if ((socket.conditions & (this.#watched.get(fd)!.events | EPOLLERR | EPOLLHUP)) !== 0)
      this.#ready.add(socket);
  }

  // --- TcpSockets. Arrow functions: the real ones are no methods either.

  readonly tcpSocket = (): number => {
    if (this.descriptorsLeft-- <= 0) return -EMFILE;
    return this.createSocket().fd;
  };

  readonly connect = (fd: number, address: Pointer): number => {
    const socket = this.#socket(fd);
    if (socket.error !== 0) return -this.#takeError(socket);
    if (socket.other !== null) return -EISCONN;
    const view = new DataView(toArrayBuffer(address, 0, 4));
    const port = this.port(view.getUint16(2));
    if (port.pending.includes(socket)) return -EALREADY;
    if (port.mode === "refuse") return -port.connectError;
    if (port.mode === "accept") {
      port.accept(socket);
      return 0;
    }
    port.pending.push(socket);
    return -EINPROGRESS;
  };

  readonly recv = (fd: number, address: Pointer, length: number, flags: number): number => {
    const socket = this.#socket(fd);
    const count = socket.readable(length);
    if (count === 0) return this.#nothingToRead(socket);
    new Uint8Array(toArrayBuffer(address, 0, count)).set(socket.incoming.subarray(0, count));
    if ((flags & MSG_PEEK) === 0) socket.drop(count);
    return count;
  };

  readonly send = (fd: number, address: Pointer, length: number): number =>
    this.#send(this.#socket(fd), Buffer.from(toArrayBuffer(address, 0, length)));

  readonly openPipe = (): PipeEnds | null => {
    if (this.descriptorsLeft-- <= 0) return null;
    const pipe = { bytes: Buffer.alloc(0) };
    const ends = { readFd: ++this.#lastFd, writeFd: ++this.#lastFd };
    this.#pipes.set(ends.readFd, pipe).set(ends.writeFd, pipe);
    return ends;
  };

  readonly splice = (fromFd: number, toFd: number, length: number): number => {
    const [from, to] = [this.#pipes.get(fromFd), this.#pipes.get(toFd)];
    if (to !== undefined) return this.#intoPipe(this.#socket(fromFd), to, length);
    const sent = this.#send(this.#socket(toFd), from!.bytes.subarray(0, length));
    if (sent > 0) from!.bytes = from!.bytes.subarray(sent);
    return sent;
  };

  readonly shutdownWrite = (fd: number): number => {
    this.#socket(fd).end();
    return 0;
  };

  readonly close = (fd: number): void => {
    this.#watched.delete(fd);
    this.#pipes.delete(fd);
    const socket = this.#sockets.get(fd);
    if (socket === undefined) return;
    this.#sockets.delete(fd);
    this.#ready.delete(socket);
    socket.isClosed = true;
    if (socket.resetsOnClose || socket.incoming.length > 0) this.#reset(socket.other);
    else socket.end();
  };

  readonly localAddress = (_fd: number, address: Pointer): number => {
    writeSockaddr(new Uint8Array(toArrayBuffer(address, 0, 28)), 0, Uint8Array.of(192, 0, 2, 9), 8080);
    return 0;
  };

  readonly bindSource = (fd: number): number => this.#note(fd, "source");
  readonly setKeepAlive = (fd: number): void => void this.#note(fd, "keepalive");
  readonly setNoDelay = (fd: number): number => this.#note(fd, "nodelay");
  readonly setOutOfBandInline = (fd: number): number => this.#note(fd, "oobinline");
  readonly setReceiveLowWater = (fd: number): number => this.#note(fd, "lowwater");
  readonly setThinStream = (fd: number, isThin: boolean): number =>
    this.#note(fd, isThin ? "thin" : "not thin");
  readonly setResetOnClose = (fd: number): number => {
    this.#socket(fd).resetsOnClose = true;
    return 0;
  };
  readonly isEstablished = (fd: number): boolean => this.#socket(fd).other !== null;
  readonly resentSegments = (): number => 0;
  readonly roundTripMs = (): number => this.roundTrip;
  readonly unansweredSends = (fd: number): number => this.#socket(fd).unanswered;
  readonly unsentBytes = (fd: number): number => this.#socket(fd).queue.length;

  #socket(fd: number): MemorySocket {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) throw new Error(`descriptor ${fd} is not an open socket`);
    return socket;
  }

  #note(fd: number, option: string): number {
    this.#socket(fd).options.push(option);
    return 0;
  }

  #nothingToRead(socket: MemorySocket): number {
    if (socket.error !== 0) return -this.#takeError(socket);
    return socket.hasEnded || socket.isReset ? 0 : -EAGAIN;
  }

  #send(socket: MemorySocket, bytes: Buffer): number {
    if (socket.error !== 0) return -this.#takeError(socket);
    if (socket.isReset || socket.isShutDown) return -EPIPE;
    const sent = socket.take(bytes);
    if (sent > 0 || bytes.length === 0) return sent;
    socket.wasRefused = true;
    return -EAGAIN;
  }

  #intoPipe(from: MemorySocket, pipe: MemoryPipe, length: number): number {
    const count = from.readable(Math.min(length, PIPE_BYTES - pipe.bytes.length));
    if (count === 0) return this.#nothingToRead(from);
    pipe.bytes = Buffer.concat([pipe.bytes, from.incoming.subarray(0, count)]);
    from.drop(count);
    return count;
  }

  /** Reported once: ECONNRESET, or EPIPE when FIN had come before. */
  #takeError(socket: MemorySocket): number {
    const { error } = socket;
    socket.error = 0;
    return error;
  }

  #reset(socket: MemorySocket | null): void {
    if (socket === null || socket.isClosed || socket.isReset) return;
    socket.isReset = true;
    socket.error = socket.hasEnded ? EPIPE : ECONNRESET;
    socket.queue = Buffer.alloc(0);
    this.raise(socket);
  }
}
