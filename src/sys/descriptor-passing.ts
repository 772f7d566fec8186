/**
 * Open descriptors between two processes, over a socket of AF_UNIX that keeps message boundaries (SOCK_SEQPACKET).
 *
 * The receiver's copies are close-on-exec and share the open file of the sender's: options, queue and position. None of
 * these calls blocks. [unix(7): SCM_RIGHTS, cmsg(3)]
 *
 *   msghdr    name ptr · name length u32 · pad · iov ptr · iov count u64 · control ptr · control length u64 · flags i32 · pad
 *   iovec     base ptr · length u64
 *   control   a message (control-message.ts) with descriptors i32 …
 */
import { Arena } from "./arena.ts";
import {
  CONTROL_HEADER_BYTES,
  controlDataBytes,
  findControl,
  paddedControl,
  writeControlHeader,
} from "./control-message.ts";
import { EINTR, EMFILE, EMSGSIZE, errno } from "./errno.ts";
import { libc } from "./libc.ts";
import { close } from "./socket.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 0x08;
const MSG_TRUNC = 0x20;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** The kernel takes 253 (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 200;
/** Below the smallest default of net.core.wmem_default, so that it fits whole. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

const MSGHDR_AT = 0;
const MSGHDR_BYTES = 56;
const IOVEC_AT = 64;
const CONTROL_AT = 128;
const CONTROL_BYTES = CONTROL_HEADER_BYTES + 4 * 256;
const DATA_AT = 2048;

export interface ReceivedDescriptors {
  /** Empty: the other side has closed the socket. */
  readonly bytes: Uint8Array;
  readonly fds: number[];
}

class Message {
  readonly arena = new Arena(DATA_AT + MAX_MESSAGE_BYTES);

  prepare(dataBytes: number, controlBytes: number): void {
    const { view, bytes } = this.arena;
    bytes.fill(0, MSGHDR_AT, MSGHDR_AT + MSGHDR_BYTES);
    view.setBigUint64(MSGHDR_AT + 16, this.#at(IOVEC_AT), true);
    view.setBigUint64(MSGHDR_AT + 24, 1n, true);
    view.setBigUint64(MSGHDR_AT + 32, controlBytes === 0 ? 0n : this.#at(CONTROL_AT), true);
    view.setBigUint64(MSGHDR_AT + 40, BigInt(controlBytes), true);
    view.setBigUint64(IOVEC_AT, this.#at(DATA_AT), true);
    view.setBigUint64(IOVEC_AT + 8, BigInt(dataBytes), true);
  }

  get flags(): number {
    return this.arena.view.getInt32(MSGHDR_AT + 48, true);
  }

  get controlLength(): number {
    return Number(this.arena.view.getBigUint64(MSGHDR_AT + 40, true));
  }

  #at(offset: number): bigint {
    return BigInt(this.arena.address(offset));
  }
}

/** Of this thread, for one call at a time. */
const message = new Message();

/** `bytes`: 1 to MAX_MESSAGE_BYTES; `fds`: MAX_DESCRIPTORS at most, which stay open here. 0 or -errno. */
export function sendDescriptors(socketFd: number, bytes: Uint8Array, fds: readonly number[]): number {
  if (bytes.length === 0 || bytes.length > MAX_MESSAGE_BYTES || fds.length > MAX_DESCRIPTORS)
    return -EMSGSIZE;
  const { arena } = message;
  const dataBytes = 4 * fds.length;
  message.prepare(bytes.length, fds.length === 0 ? 0 : paddedControl(CONTROL_HEADER_BYTES + dataBytes));
  arena.bytes.set(bytes, DATA_AT);
  writeControlHeader(arena, CONTROL_AT, SOL_SOCKET, SCM_RIGHTS, dataBytes);
  arena.int32.set(fds, (CONTROL_AT + CONTROL_HEADER_BYTES) / 4);
  for (;;) {
    if (libc.sendmsg(socketFd, arena.address(MSGHDR_AT), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}

/**
 * One message, or -errno: -EAGAIN when there is none yet, -EMSGSIZE when it is longer, -EMFILE when this process has no room
 * for its descriptors. Those of a message that is not returned are closed.
 */
export function receiveDescriptors(socketFd: number, maxBytes: number): ReceivedDescriptors | number {
  const { arena } = message;
  message.prepare(Math.min(maxBytes, MAX_MESSAGE_BYTES), CONTROL_BYTES);
  let received = -1;
  do {
    received = libc.recvmsg(socketFd, arena.address(MSGHDR_AT), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0) {
      const error = errno();
      if (error !== EINTR) return -error;
    }
  } while (received < 0);
  const fds = readDescriptors(arena, message.controlLength);
  const { flags } = message;
  if ((flags & (MSG_CTRUNC | MSG_TRUNC)) !== 0) {
    fds.forEach(close);
    return (flags & MSG_CTRUNC) !== 0 ? -EMFILE : -EMSGSIZE;
  }
  return { bytes: arena.bytes.slice(DATA_AT, DATA_AT + received), fds };
}

/** The kernel puts all of them into one control message. */
function readDescriptors(arena: Arena, controlLength: number): number[] {
  const found = findControl(arena, CONTROL_AT, controlLength, SOL_SOCKET, SCM_RIGHTS);
  if (found < 0) return [];
  const first = found / 4;
  return [...arena.int32.subarray(first, first + Math.floor(controlDataBytes(arena, found) / 4))];
}
