/**
 * Sockets of AF_UNIX that keep message boundaries, by path: what `descriptor-passing.ts` sends over. None of these calls
 * blocks, and every descriptor is close-on-exec. [unix(7)]
 */
import { unlinkSync } from "node:fs";
import { scratch } from "./arena.ts";
import { errno } from "./errno.ts";
import { libc } from "./libc.ts";
import { bind, close, connect, listen } from "./socket.ts";
import { AF_UNIX, UNIX_NAME_MAX, writeUnixAddress } from "./unix-address.ts";

const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const ENAMETOOLONG = 36;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_AT = 16;
const UCRED_BYTES = 12;
/** For the owner only, whatever the umask is. */
const OWNER_ONLY = 0o177;

/** The process at the other end, when it connected or listened. */
export interface PeerProcess {
  readonly pid: number;
  readonly uid: number;
}

/** A socket that listens at `path`, 0600, in place of a file that was there; or -errno. */
export function listenSeqpacket(path: string): number {
  const fd = open(path);
  if (fd < 0) return fd;
  try {
    unlinkSync(path);
  } catch {
    // bind says what is wrong
  }
  const umask = process.umask(OWNER_ONLY);
  const bound = bind(fd, scratch.address(0), writeUnixAddress(path));
  process.umask(umask);
  const result = bound < 0 ? bound : listen(fd, 1);
  if (result === 0) return fd;
  close(fd);
  return result;
}

/** A connected socket or -errno. */
export function connectSeqpacket(path: string): number {
  const fd = open(path);
  if (fd < 0) return fd;
  const result = connect(fd, scratch.address(0), writeUnixAddress(path));
  if (result === 0) return fd;
  close(fd);
  return result;
}

/** A connection, or -errno: -EAGAIN when there is none yet. */
export function acceptSeqpacket(fd: number): number {
  const accepted = libc.accept4(fd, null, null, SOCK_NONBLOCK_CLOEXEC);
  return accepted >= 0 ? accepted : -errno();
}

/** null: the kernel does not say. */
export function peerProcess(fd: number): PeerProcess | null {
  scratch.int32[0] = UCRED_BYTES;
  if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, scratch.address(UCRED_AT), scratch.address(0)) < 0)
    return null;
  return { pid: scratch.int32[UCRED_AT / 4]!, uid: scratch.int32[UCRED_AT / 4 + 1]! };
}

function open(path: string): number {
  if (Buffer.byteLength(path) > UNIX_NAME_MAX) return -ENAMETOOLONG;
  const fd = libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : -errno();
}
