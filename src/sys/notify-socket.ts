/**
 * Messages to the service manager: assignments, one per line, in datagrams to the socket that $NOTIFY_SOCKET names: a
 * path, or with "@" a name in the abstract namespace. What the socket does not take at once is sent later, in
 * order. [sd_notify(3), unix(7)]
 */
import { scratch } from "./arena.ts";
import type { Clock } from "./clock.ts";
import { sendDescriptors } from "./descriptor-passing.ts";
import { EAGAIN, ENOBUFS, errno, errnoText } from "./errno.ts";
import { libc } from "./libc.ts";
import { close, duplicate } from "./socket.ts";
import { AF_UNIX, UNIX_NAME_MAX, writeUnixAddress } from "./unix-address.ts";

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const RETRY_MS = 50;
/** The manager reads nothing: what it is told later makes up for what it missed. Descriptors are not dropped this way. */
const MAX_WAITING = 8_192;
const CLOCK_MONOTONIC = 1;

interface Message {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

export interface NotifySocketOptions {
  /** Of $NOTIFY_SOCKET. */
  readonly address: string;
  readonly clock: Clock;
  /** null: it works again. */
  readonly onError: (error: string | null) => void;
}

export class NotifySocket {
  readonly #options: NotifySocketOptions;
  /** Not taken yet, with descriptors of their own. */
  #waiting: Message[] = [];
  #cancelRetry: (() => void) | null = null;
  #error: string | null = null;

  constructor(options: NotifySocketOptions) {
    this.#options = options;
  }

  /** @param fds go along; the caller may close them after the call */
  send(assignments: Readonly<Record<string, string | number>>, fds: readonly number[] = []): void {
    const text = Object.entries(assignments).map(([name, value]) => `${name}=${oneLine(String(value))}`);
    const message = { bytes: new TextEncoder().encode(text.join("\n")), fds };
    if (this.#waiting.length > 0) this.#keep(message);
    else this.#sendAll([message]);
  }

  close(): void {
    this.#cancelRetry?.();
    for (const { fds } of this.#waiting) fds.forEach(close);
    this.#waiting = [];
  }

  #sendAll(messages: readonly Message[]): void {
    const fd = this.#connect();
    if (fd < 0) return this.#fail(-fd);
    for (const [i, { bytes, fds }] of messages.entries()) {
      const result = sendDescriptors(fd, bytes, fds);
      if (result === -EAGAIN || result === -ENOBUFS) {
        for (const message of messages.slice(i)) this.#keep(message);
        break;
      }
      if (result < 0) this.#fail(-result);
      else this.#recover();
    }
    close(fd);
  }

  #keep({ bytes, fds }: Message): void {
    if (this.#waiting.length >= MAX_WAITING) return this.#fail(EAGAIN);
    const copies = fds.map(duplicate).filter((fd) => fd >= 0);
    if (copies.length === fds.length) this.#waiting.push({ bytes, fds: copies });
    else copies.forEach(close);
    this.#cancelRetry ??= this.#options.clock.after(RETRY_MS, () => this.#retry());
  }

  #retry(): void {
    const messages = this.#waiting;
    this.#waiting = [];
    this.#cancelRetry = null;
    this.#sendAll(messages);
    for (const { fds } of messages) fds.forEach(close);
  }

  /** A descriptor or -errno. Connected anew each time: the manager may have been restarted. */
  #connect(): number {
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) return -errno();
    const length = writeUnixAddress(this.#options.address);
    if (libc.connect(fd, scratch.address(0), length) >= 0) return fd;
    const error = errno();
    close(fd);
    return -error;
  }

  #fail(error: number): void {
    const message = `cannot notify the service manager on ${this.#options.address}: ${errnoText(error)}`;
    if (message !== this.#error) this.#options.onError(message);
    this.#error = message;
  }

  #recover(): void {
    if (this.#error !== null) this.#options.onError(null);
    this.#error = null;
  }
}

/** The manager speaks Unix datagrams at this address; others (vsock, for virtual machines) are not supported. */
export function isNotifyAddress(text: string | undefined): text is string {
  return text !== undefined && /^[/@]./.test(text) && Buffer.byteLength(text) <= UNIX_NAME_MAX;
}

/** Since the machine's start, without the time it slept: what RELOADING=1 has to state. */
export function monotonicMicroseconds(): bigint {
  libc.clock_gettime(CLOCK_MONOTONIC, scratch.address(0));
  const { view } = scratch;
  return view.getBigInt64(0, true) * 1_000_000n + view.getBigInt64(8, true) / 1_000n;
}

function oneLine(value: string): string {
  return value.replaceAll(/[\r\n]+/g, " ");
}
