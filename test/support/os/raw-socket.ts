/**
 * TCP clients and tasks on plain descriptors: every call is the system call of its name, waited for with a deadline.
 * Failures are SysError with the kernel's code, so a test tells FIN from RST. Nagle is off, so that stalls that a test
 * sees are the proxy's.
 */
import { Arena } from "../../../src/sys/arena.ts";
import { EPOLLERR, EPOLLIN, EPOLLOUT } from "../../../src/sys/epoll.ts";
import { check, EAGAIN, EINPROGRESS, errno, SysError } from "../../../src/sys/errno.ts";
import { libc } from "../../../src/sys/libc.ts";
import { AF_INET, SOCKADDR_MAX, sockaddrPort, writeSockaddr } from "../../../src/sys/sockaddr.ts";
import * as socket from "../../../src/sys/socket.ts";
import { parseIp } from "../../../src/wire/index.ts";
import { Readiness } from "./readiness.ts";

const MSG_OOB = 1;
const LOOPBACK = "127.0.0.1";
const BACKLOG = 128;
const DEADLINE_MS = 10_000;
/** What one receive can bring. */
export const RECEIVE_BYTES = 256 * 1024;
const SMALL_SEND_BYTES = 4096;

const readiness = new Readiness();
/** Of closed sockets, for the next ones. */
const freeBuffers: Arena[] = [];
const small = new Arena(SMALL_SEND_BYTES);
const address = new Arena(4096);
const lengthAt = SOCKADDR_MAX + 4;

export interface BufferOptions {
  /** Socket buffers in bytes; without it the kernel tunes them. */
  readonly bufferBytes?: number;
}

export interface ConnectOptions extends BufferOptions {
  /** IPv4; 127.0.0.1 by default. */
  readonly to?: string;
}

export class RawSocket {
  #fd: number;
  #received: Arena | null = null;

  constructor(fd: number) {
    this.#fd = fd;
    socket.setNoDelay(fd);
  }

  /** -1 once closed: its number may be somebody else's then. */
  get fd(): number {
    return this.#fd;
  }

  static async connect(
    port: number,
    { bufferBytes, to = LOOPBACK }: ConnectOptions = {},
  ): Promise<RawSocket> {
    const fd = check("socket", socket.tcpSocket(AF_INET));
    if (bufferBytes !== undefined) socket.setBufferSizes(fd, bufferBytes);
    const length = writeSockaddr(address.bytes, 0, parseIp(to)!.bytes, port);
    const result = socket.connect(fd, address.address(0), length);
    if (result === -EINPROGRESS) await awaitReady(fd, EPOLLOUT, "connect");
    const error = result < 0 && result !== -EINPROGRESS ? -result : socket.takeError(fd);
    if (error === 0) return new RawSocket(fd);
    readiness.forget(fd);
    socket.close(fd);
    throw new SysError("connect", error);
  }

  /** Sends a few bytes. */
  async send(bytes: Uint8Array | string): Promise<void> {
    const data = Buffer.from(bytes);
    if (data.length > SMALL_SEND_BYTES) throw new RangeError(`send takes up to ${SMALL_SEND_BYTES} bytes`);
    for (let at = 0; at < data.length; ) {
      small.bytes.set(data.subarray(at));
      const sent = this.trySendFrom(small, 0, data.length - at);
      if (sent === 0) await this.#ready(EPOLLOUT, "send");
      at += sent;
    }
  }

  /** Sends what the socket takes of an arena's bytes, at least one; they must stay until then. */
  async sendFrom(arena: Arena, offset: number, length: number): Promise<number> {
    for (;;) {
      const sent = socket.send(this.fd, arena.address(offset), length);
      if (sent !== -EAGAIN) return check("send", sent);
      await this.#ready(EPOLLOUT, "send");
    }
  }

  /** Bytes that the socket has taken, 0 when its buffer is full. */
  trySendFrom(arena: Arena, offset: number, length: number): number {
    const sent = socket.send(this.fd, arena.address(offset), length);
    return sent === -EAGAIN ? 0 : check("send", sent);
  }

  /** One byte with the urgent pointer behind it (RFC 6093). */
  sendUrgent(byte: number): void {
    small.bytes[0] = byte;
    if (libc.send(this.fd, small.address(0), 1, MSG_OOB) < 0) throw new SysError("send", errno());
  }

  /** What is there, at least one byte unless the stream has ended; good until this socket's next receive. */
  async receive(maxBytes = RECEIVE_BYTES): Promise<Uint8Array> {
    const received = (this.#received ??= freeBuffers.pop() ?? new Arena(RECEIVE_BYTES));
    for (;;) {
      const count = socket.recv(this.fd, received.address(0), Math.min(maxBytes, RECEIVE_BYTES), 0);
      if (count !== -EAGAIN) return received.bytes.subarray(0, check("recv", count));
      await this.#ready(EPOLLIN, "receive");
    }
  }

  /** The next `count` bytes as text; less when the stream ends before. */
  async receiveText(count: number): Promise<string> {
    let text = "";
    while (text.length < count) {
      const bytes = await this.receive(count - text.length);
      if (bytes.length === 0) break;
      text += Buffer.from(bytes).toString("latin1");
    }
    return text;
  }

  /** Everything up to the end of the stream. */
  async receiveRest(): Promise<string> {
    return this.receiveText(Number.POSITIVE_INFINITY);
  }

  /** Resolves with the code of the error that the peer's end has caused, without reading. */
  async failure(): Promise<string> {
    await this.#ready(EPOLLERR, "fail");
    return new SysError("socket", socket.takeError(this.fd)).code;
  }

  /** Bytes, and FIN as one, that the peer's kernel has not acknowledged. */
  get unacknowledgedBytes(): number {
    return socket.unsentBytes(this.fd);
  }

  /** False when it is still full after `withinMs`. */
  becomesWritable(withinMs: number): Promise<boolean> {
    return readiness.wait(this.fd, EPOLLOUT, withinMs);
  }

  /** False when nothing has come within `withinMs`. */
  becomesReadable(withinMs: number): Promise<boolean> {
    return readiness.wait(this.fd, EPOLLIN, withinMs);
  }

  /** FIN; receiving goes on. */
  finish(): void {
    check("shutdown", socket.shutdownWrite(this.fd));
  }

  /** RST, whatever is unsent is lost. */
  reset(): void {
    socket.setResetOnClose(this.fd);
    this.close();
  }

  /** FIN, or RST when there are unread bytes. */
  close(): void {
    if (this.#fd < 0) return;
    readiness.forget(this.#fd);
    socket.close(this.#fd);
    this.#fd = -1;
    if (this.#received !== null) freeBuffers.push(this.#received);
    this.#received = null;
  }

  async #ready(events: number, what: string): Promise<void> {
    await awaitReady(this.fd, events, what);
    if (this.#fd < 0) throw new Error(`closed while waiting to ${what}`);
  }
}

export class RawListener {
  readonly port: number;
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
    check("getsockname", socket.localAddress(fd, address.address(0)));
    this.port = sockaddrPort(address.bytes, 0);
  }

  /** On a free port. Accepted sockets inherit the buffer sizes. */
  static open({ bufferBytes, at = LOOPBACK }: BufferOptions & { readonly at?: string } = {}): RawListener {
    const fd = check("socket", socket.tcpSocket(AF_INET));
    if (bufferBytes !== undefined) socket.setBufferSizes(fd, bufferBytes);
    const length = writeSockaddr(address.bytes, 0, parseIp(at)!.bytes, 0);
    check("bind", socket.bind(fd, address.address(0), length));
    check("listen", socket.listen(fd, BACKLOG));
    return new RawListener(fd);
  }

  /** -1 once closed: its number may be somebody else's then. */
  get fd(): number {
    return this.#fd;
  }

  async accept(): Promise<RawSocket> {
    for (;;) {
      address.int32[lengthAt / 4] = SOCKADDR_MAX;
      const fd = socket.accept(this.fd, address.address(0), address.address(lengthAt));
      if (fd !== -EAGAIN) return new RawSocket(check("accept", fd));
      await awaitReady(this.fd, EPOLLIN, "accept");
    }
  }

  /** Whether a connection waits to be accepted. */
  hasWaiting(): Promise<boolean> {
    return readiness.wait(this.fd, EPOLLIN, 0);
  }

  close(): void {
    if (this.#fd < 0) return;
    readiness.forget(this.#fd);
    socket.close(this.#fd);
    this.#fd = -1;
  }
}

async function awaitReady(fd: number, events: number, what: string): Promise<void> {
  if (await readiness.wait(fd, events, DEADLINE_MS)) return;
  throw new Error(`waited ${DEADLINE_MS} ms in vain to ${what}`);
}
