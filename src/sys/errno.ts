/** errno of the calling thread, and what its values mean. Same numbers on x86-64 and arm64. */
import { read } from "bun:ffi";
import { libc } from "./libc.ts";

export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const EPIPE = 32;
const ENOSPC = 28;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const ENFILE = 23;
export const EMFILE = 24;
export const EINVAL = 22;
export const ENOBUFS = 105;
export const ENOMEM = 12;
export const EACCES = 13;
export const EPERM = 1;
export const EPROTO = 71;
export const EMSGSIZE = 90;
export const EPROTONOSUPPORT = 93;
export const EOPNOTSUPP = 95;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const EAFNOSUPPORT = 97;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const EISCONN = 106;
export const ESHUTDOWN = 108;
/** More descriptors are on their way between processes than this one may have open. */
export const ETOOMANYREFS = 109;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const EINPROGRESS = 115;

const NAMES: Readonly<Record<number, readonly [code: string, text: string]>> = {
  [EPERM]: ["EPERM", "operation not permitted"],
  [ENOENT]: ["ENOENT", "not found"],
  [ESRCH]: ["ESRCH", "no such object"],
  [EINTR]: ["EINTR", "interrupted"],
  [EIO]: ["EIO", "input/output error"],
  [EAGAIN]: ["EAGAIN", "resource temporarily unavailable"],
  [ENOMEM]: ["ENOMEM", "out of memory"],
  [EACCES]: ["EACCES", "permission denied"],
  [EBUSY]: ["EBUSY", "busy"],
  [EEXIST]: ["EEXIST", "already exists"],
  [ENODEV]: ["ENODEV", "no such device"],
  [EINVAL]: ["EINVAL", "invalid argument"],
  [ENFILE]: ["ENFILE", "the system is out of file descriptors"],
  [EMFILE]: ["EMFILE", "the process is out of file descriptors"],
  [ENOSPC]: ["ENOSPC", "no space left on device"],
  [EPIPE]: ["EPIPE", "broken pipe"],
  [EPROTO]: ["EPROTO", "protocol error"],
  [EMSGSIZE]: ["EMSGSIZE", "message too long"],
  [EPROTONOSUPPORT]: ["EPROTONOSUPPORT", "protocol not supported"],
  [EAFNOSUPPORT]: ["EAFNOSUPPORT", "address family not supported"],
  [EOPNOTSUPP]: ["EOPNOTSUPP", "operation not supported"],
  [EADDRINUSE]: ["EADDRINUSE", "address in use"],
  [EADDRNOTAVAIL]: ["EADDRNOTAVAIL", "address not available"],
  [ENETUNREACH]: ["ENETUNREACH", "network unreachable"],
  [ECONNABORTED]: ["ECONNABORTED", "connection aborted"],
  [ECONNRESET]: ["ECONNRESET", "connection reset"],
  [ENOBUFS]: ["ENOBUFS", "no buffer space"],
  [EISCONN]: ["EISCONN", "already connected"],
  [ESHUTDOWN]: ["ESHUTDOWN", "shutting down"],
  [ETIMEDOUT]: ["ETIMEDOUT", "timed out"],
  [ECONNREFUSED]: ["ECONNREFUSED", "connection refused"],
  [EHOSTUNREACH]: ["EHOSTUNREACH", "host unreachable"],
  [EALREADY]: ["EALREADY", "already in progress"],
  [EINPROGRESS]: ["EINPROGRESS", "in progress"],
};

const location = libc.__errno_location()!;

/** Must be the very next statement after the failed call. */
export function errno(): number {
  return read.i32(location, 0);
}

/** "ECONNREFUSED" */
export function errnoCode(value: number): string {
  return NAMES[value]?.[0] ?? `E${value}`;
}

/** "connection refused" */
export function errnoText(value: number): string {
  return NAMES[value]?.[1] ?? `system error ${value}`;
}

/** There are no descriptors. */
export function isOutOfDescriptors(errnoValue: number): boolean {
  return errnoValue === EMFILE || errnoValue === ENFILE;
}

/** There are no descriptors or no memory; nothing is wrong with the peer. */
export function isExhaustion(errnoValue: number): boolean {
  return isOutOfDescriptors(errnoValue) || errnoValue === ENOBUFS || errnoValue === ENOMEM;
}

/** The socket or the machine is out of buffer space for now; nothing is wrong with the peer. */
export function isCongestion(errnoValue: number): boolean {
  return errnoValue === EAGAIN || errnoValue === ENOBUFS || errnoValue === ENOMEM;
}

/** A system call that failed where failure is not part of the normal course. */
export class SysError extends Error {
  override readonly name = "SysError";
  readonly code: string;

  /** @param errnoValue positive errno */
  constructor(
    readonly call: string,
    readonly errnoValue: number,
  ) {
    super(`${call}: ${errnoText(errnoValue)}`);
    this.code = errnoCode(errnoValue);
  }
}

/** Passes a result through, or throws SysError when it is a `-errno`. For set-up code, not for the data path. */
export function check(call: string, result: number): number {
  if (result < 0) throw new SysError(call, -result);
  return result;
}
