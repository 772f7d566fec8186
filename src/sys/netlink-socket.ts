/**
 * A socket to the kernel's routing tables or packet filter, blocking with a deadline: the kernel answers at once, in microseconds, so
 * there is nothing to wait for elsewhere. What the bytes mean is not known here. [netlink(7), rtnetlink(7)]
 */
import { Arena } from "./arena.ts";
import { check, EINTR, EMSGSIZE, errno, SysError } from "./errno.ts";
import { libc } from "./libc.ts";
import { close } from "./socket.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;

/** The kernel's answers are up to 32 KiB each, requests well below that. */
const BUFFER_BYTES = 64 * 1024;
/** Parts of an answer that wait to be read. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;
const TIMEOUT_SEC = 5;
const EINTR_MAX = 1000;

/** Of this thread, for one call at a time: every call is over when it returns. */
const buffer = new Arena(BUFFER_BYTES);

export class NetlinkSocket {
  /** -1 once closed: its number may be reused then. */
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Talks to the network namespace that the calling thread is in now. Throws SysError. */
  static open(family: typeof NETLINK_ROUTE | typeof NETLINK_NETFILTER = NETLINK_ROUTE): NetlinkSocket {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
    if (fd < 0) throw new SysError("socket(AF_NETLINK)", errno());
    try {
      configure(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
    return new NetlinkSocket(fd);
  }

  /** Throws SysError. */
  send(bytes: Uint8Array): void {
    if (bytes.length > BUFFER_BYTES) throw new SysError("send(AF_NETLINK)", EMSGSIZE);
    buffer.bytes.set(bytes);
    untilDone("send(AF_NETLINK)", () => libc.send(this.#fd, buffer.address(0), bytes.length, 0));
  }

  /** The next datagram, the caller's own copy. Throws SysError: EAGAIN after 5 s, ENOBUFS when answers were lost. */
  receive(): Uint8Array {
    const length = untilDone("recv(AF_NETLINK)", () =>
      libc.recv(this.#fd, buffer.address(0), BUFFER_BYTES, MSG_TRUNC),
    );
    if (length > BUFFER_BYTES) throw new SysError("recv(AF_NETLINK)", EMSGSIZE);
    return buffer.bytes.slice(0, length);
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}

function configure(fd: number): void {
  buffer.bytes.fill(0, 0, 16);
  buffer.int32[0] = TIMEOUT_SEC; // struct timeval
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    const result = libc.setsockopt(fd, SOL_SOCKET, option, buffer.address(0), 16);
    check("setsockopt(SO_RCVTIMEO)", result < 0 ? -errno() : 0);
  }
  setNumber(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
  // what an old kernel does not know is done without: fewer words, and more answers than were asked for
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    setNumber(fd, SOL_NETLINK, option, 1);
  }
  // struct sockaddr_nl: the kernel picks the port
  buffer.bytes.fill(0, 0, 12);
  buffer.bytes[0] = AF_NETLINK;
  check("bind(AF_NETLINK)", libc.bind(fd, buffer.address(0), 12) < 0 ? -errno() : 0);
}

function setNumber(fd: number, level: number, option: number, value: number): void {
  buffer.int32[0] = value;
  libc.setsockopt(fd, level, option, buffer.address(0), 4);
}

/** Signals interrupt a blocking call; it is made again. */
function untilDone(name: string, call: () => number): number {
  for (let tries = 0; tries < EINTR_MAX; tries++) {
    const result = call();
    if (result >= 0) return result;
    const error = errno();
    if (error !== EINTR) throw new SysError(name, error);
  }
  throw new SysError(name, EINTR);
}
