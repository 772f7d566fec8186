/**
 * Notifications of the kernel's routing tables: a socket in multicast groups that the runtime's event loop watches.
 * Nothing of what is reported is read here: who listens asks for the state, which is right also after notifications
 * were lost. [netlink(7), rtnetlink(7)]
 */
import { scratch } from "./arena.ts";
import { check, errno, SysError } from "./errno.ts";
import { libc } from "./libc.ts";
import { close } from "./socket.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;

/** Messages beyond it are lost; the kernel reports that (ENOBUFS). */
const RECEIVE_BUFFER_BYTES = 256 * 1024;
const SOCKADDR_BYTES = 12;
const INSTRUCTION_BYTES = 8;
/** Of scratch memory: behind struct sock_fprog. */
const PROGRAM_AT = 64;
/** Notifications that were lost together make one report, however fast they come. */
const REOPEN_MS = 100;

export interface NetlinkWatchOptions {
  /** RTNLGRP_… */
  readonly groups: readonly number[];
  /** For SO_ATTACH_FILTER: struct sock_filter after struct sock_filter. */
  readonly filter: Uint8Array;
  /** Something that passes the filter was reported, or reports were lost. */
  readonly onReport: () => void;
}

export class NetlinkWatch {
  readonly #options: NetlinkWatchOptions;
  #filter: Uint8Array;
  #fd = -1;
  #socket: Pick<Bun.Socket, "terminate"> | null = null;
  #reopening: Timer | null = null;
  #isClosed = false;

  /** Of the network namespace that the calling thread is in. Throws SysError. */
  constructor(options: NetlinkWatchOptions) {
    this.#options = options;
    this.#filter = options.filter;
    this.#open();
  }

  /** What passes from now on. */
  setFilter(filter: Uint8Array): void {
    this.#filter = filter;
    if (this.#fd >= 0) this.#attachFilter();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#reopening !== null) clearTimeout(this.#reopening);
    this.#socket?.terminate();
    this.#socket = null;
    this.#fd = -1;
  }

  #open(): void {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) throw new SysError("socket(AF_NETLINK)", errno());
    this.#fd = fd;
    try {
      this.#attachFilter();
      this.#join();
    } catch (error) {
      this.#fd = -1;
      close(fd);
      throw error;
    }
    this.#listen(fd);
  }

  /** From here on the descriptor is the runtime's, which closes it. */
  #listen(fd: number): void {
    const { onReport } = this.#options;
    const socket = {
      data: onReport,
      error: () => {},
      close: () => this.#onEnd(),
    };
    const options = { fd, socket } as unknown as Parameters<typeof Bun.connect>[0];
    void Bun.connect(options).then(
      (opened) => {
        if (this.#isClosed) opened.terminate();
        else this.#socket = opened;
      },
      () => this.#onEnd(),
    );
  }

  /** ENOBUFS: the runtime closes a socket that has an error. */
  #onEnd(): void {
    this.#socket = null;
    this.#fd = -1;
    if (!this.#isClosed) this.#reopening = setTimeout(() => this.#reopen(), REOPEN_MS);
  }

  #reopen(): void {
    try {
      this.#open();
      this.#options.onReport();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#onEnd();
    }
  }

  #attachFilter(): void {
    scratch.bytes.set(this.#filter, PROGRAM_AT);
    // struct sock_fprog: a 16-bit length, padding, a pointer
    scratch.view.setUint16(0, this.#filter.length / INSTRUCTION_BYTES, true);
    scratch.view.setBigUint64(8, BigInt(scratch.address(PROGRAM_AT)), true);
    this.#setOption(SOL_SOCKET, SO_ATTACH_FILTER, 16);
  }

  #join(): void {
    scratch.int32[0] = RECEIVE_BUFFER_BYTES;
    this.#setOption(SOL_SOCKET, SO_RCVBUF, 4);
    scratch.bytes.fill(0, 0, SOCKADDR_BYTES);
    scratch.bytes[0] = AF_NETLINK;
    const bound = libc.bind(this.#fd, scratch.address(0), SOCKADDR_BYTES);
    check("bind(AF_NETLINK)", bound < 0 ? -errno() : 0);
    for (const group of this.#options.groups) {
      scratch.int32[0] = group;
      this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 4);
    }
  }

  #setOption(level: number, option: number, length: number): void {
    const result = libc.setsockopt(this.#fd, level, option, scratch.address(0), length);
    check("setsockopt(AF_NETLINK)", result < 0 ? -errno() : 0);
  }
}
