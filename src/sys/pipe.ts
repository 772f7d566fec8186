/** Pipes and splice: bytes move from socket to pipe to socket without being copied to this process. */
import { scratch } from "./arena.ts";
import { errno } from "./errno.ts";
import { libc } from "./libc.ts";

const O_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;

export interface PipeEnds {
  readonly readFd: number;
  readonly writeFd: number;
}

/** null when descriptors have run out. The kernel may grant less than `size` bytes to an ordinary user. */
export function openPipe(size: number): PipeEnds | null {
  if (libc.pipe2(scratch.address(0), O_NONBLOCK_CLOEXEC) < 0) return null;
  const ends = { readFd: scratch.int32[0]!, writeFd: scratch.int32[1]! };
  libc.fcntl(ends.writeFd, F_SETPIPE_SZ, size);
  return ends;
}

/**
 * Bytes moved, 0 at end of stream, or -errno. -EAGAIN has two meanings, source empty and destination full; the caller
 * distinguishes them by the pipe's fill, which it tracks.
 */
export function splice(fromFd: number, toFd: number, length: number): number {
  const moved = libc.splice(fromFd, null, toFd, null, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  return moved >= 0 ? moved : -errno();
}
