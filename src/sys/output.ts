/**
 * Writing to standard output without ever waiting for its reader.
 *
 * O_NONBLOCK belongs to the open file, which is shared with the shell and with other programs, so it is never set on the
 * inherited descriptor. Each kind of file has its own way around it: a socket takes MSG_DONTWAIT, a pipe takes what is
 * spliced from a pipe of our own, a terminal is opened once more. Regular files wait for their disk only.
 */
import { fstatSync } from "node:fs";
import { Arena, scratch } from "./arena.ts";
import { EAGAIN, EINTR, errno } from "./errno.ts";
import { libc } from "./libc.ts";
import { openPipe, splice } from "./pipe.ts";

const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
const O_WRONLY_NOCTTY_NONBLOCK_CLOEXEC = 1 | 0o400 | 0o4000 | 0o2000000;
const POLLOUT = 4;
const POLLERR_HUP = 8 | 16;
/** The capacity of a pipe; what is written at once. */
const CHUNK_BYTES = 65_536;
/** A terminal that cannot be opened once more gets no more than this after it has said that there is room. */
const CAREFUL_BYTES = 64;

export interface Output {
  /** Bytes taken, 0 when the reader takes none now, or -errno. */
  write(bytes: Uint8Array): number;
  /** Blocks until a write may succeed, at most so long. */
  waitUntilWritable(timeoutMs: number): void;
}

export function openOutput(fd: number): Output {
  const arena = new Arena(CHUNK_BYTES);
  const put = writerFor(fd, arena);
  return {
    write(bytes) {
      const length = Math.min(bytes.length, CHUNK_BYTES);
      arena.bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length));
      const result = put(length);
      return result === -EAGAIN || result === -EINTR ? 0 : result;
    },
    waitUntilWritable: (timeoutMs) => void isWritable(fd, Math.ceil(timeoutMs)),
  };
}

/** Blocks until `text` is out, at most `timeoutMs`; false when not all of it is. */
export function writeWithin(output: Output, text: string, timeoutMs: number): boolean {
  const endMs = performance.now() + timeoutMs;
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) {
    const taken = output.write(rest);
    const leftMs = endMs - performance.now();
    if (taken < 0 || leftMs <= 0) return false;
    if (taken === 0) output.waitUntilWritable(leftMs);
    rest = rest.subarray(taken);
  }
  return true;
}

/** Writes the first `length` bytes of the arena: bytes taken or -errno. */
type Put = (length: number) => number;

function writerFor(fd: number, arena: Arena): Put {
  const file = fstatSync(fd);
  if (file.isSocket()) return (length) => sendNow(fd, arena, length);
  if (file.isFIFO()) return pipeWriter(fd, arena);
  if (file.isCharacterDevice()) return deviceWriter(fd, arena);
  return (length) => writeTo(fd, arena, length);
}

function sendNow(fd: number, arena: Arena, length: number): number {
  const sent = libc.send(fd, arena.address(0), length, MSG_DONTWAIT_NOSIGNAL);
  return sent >= 0 ? sent : -errno();
}

/** With SPLICE_F_NONBLOCK, splice between pipes does not block, whatever the flags of the pipes say. */
function pipeWriter(fd: number, arena: Arena): Put {
  const own = openPipe(CHUNK_BYTES);
  if (own === null) return carefulWriter(fd, arena);
  return (length) => {
    if (!isWritable(fd, 0)) return 0;
    const filled = writeTo(own.writeFd, arena, length);
    if (filled <= 0) return filled;
    let moved = 0;
    let result = 0;
    while (moved < filled && (result = splice(own.readFd, fd, filled - moved)) > 0) moved += result;
    if (moved < filled) libc.read(own.readFd, arena.address(0), filled - moved); // the caller keeps the rest
    return moved > 0 ? moved : result;
  };
}

/** Terminals, /dev/null. Opening it once more is refused when it belongs to another user (`su`). */
function deviceWriter(fd: number, arena: Arena): Put {
  const path = Buffer.from(`/proc/self/fd/${fd}\0`);
  scratch.bytes.set(path);
  const own = libc.open(scratch.address(0), O_WRONLY_NOCTTY_NONBLOCK_CLOEXEC);
  return own < 0 ? carefulWriter(fd, arena) : (length) => writeTo(own, arena, length);
}

function carefulWriter(fd: number, arena: Arena): Put {
  return (length) => (isWritable(fd, 0) ? writeTo(fd, arena, Math.min(length, CAREFUL_BYTES)) : 0);
}

function writeTo(fd: number, arena: Arena, length: number): number {
  const written = libc.write(fd, arena.address(0), length);
  return written >= 0 ? written : -errno();
}

/** Also when writing would fail: the write returns the reason. */
function isWritable(fd: number, timeoutMs: number): boolean {
  scratch.int32[0] = fd;
  scratch.int32[1] = POLLOUT; // events in the low half, revents in the high one
  const count = libc.poll(scratch.address(0), 1, timeoutMs);
  return count > 0 && ((scratch.int32[1]! >>> 16) & (POLLOUT | POLLERR_HUP)) !== 0;
}
