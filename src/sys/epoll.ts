/**
 * epoll. struct epoll_event is packed on x86-64 only:
 *
 *   x86-64  events u32 · data u64                 12 bytes
 *   others  events u32 · padding u32 · data u64   16 bytes
 *
 * The data's low half carries the descriptor, its high half a generation that distinguishes a reused descriptor.
 */

import type { Pointer } from "bun:ffi";
import { scratch } from "./arena.ts";
import { EINTR, errno } from "./errno.ts";
import { libc } from "./libc.ts";

export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x8000_0000 | 0;

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2; // a descriptor that is closed needs none, unless another process has it too
export const EPOLL_CTL_MOD = 3;

const EPOLL_CLOEXEC = 0o2000000;

export interface EpollLayout {
  /** int32 words from one event to the next */
  readonly stride: number;
  /** word of the data's low half inside an event */
  readonly data: number;
}

export function epollLayout(arch: string): EpollLayout {
  return arch === "x64" ? { stride: 3, data: 1 } : { stride: 4, data: 2 };
}

const { stride, data } = epollLayout(process.arch);
export const EVENT_STRIDE = stride;
export const EVENT_DATA = data;

export function epollCreate(): number {
  const fd = libc.epoll_create1(EPOLL_CLOEXEC);
  return fd >= 0 ? fd : -errno();
}

/** 0 or -errno. */
export function epollControl(
  epoll: number,
  operation: number,
  fd: number,
  events: number,
  generation: number,
): number {
  scratch.int32[0] = events;
  scratch.int32[EVENT_DATA] = fd;
  scratch.int32[EVENT_DATA + 1] = generation;
  const result = libc.epoll_ctl(epoll, operation, fd, scratch.address(0));
  return result >= 0 ? 0 : -errno();
}

/** Number of events written to `address`, 0 on timeout or a signal, or -errno. timeoutMs -1 waits without limit. */
export function epollWait(epoll: number, address: Pointer, maxEvents: number, timeoutMs: number): number {
  const count = libc.epoll_wait(epoll, address, maxEvents, timeoutMs);
  if (count >= 0) return count;
  const error = errno();
  return error === EINTR ? 0 : -error;
}
