/**
 * Sockets by descriptor. Every function returns its result or `-errno`; none throws, none blocks (all sockets are
 * made non-blocking and close-on-exec). Addresses are struct sockaddr in an arena (`sockaddr.ts`).
 */
import type { Pointer } from "bun:ffi";
import { scratch } from "./arena.ts";
import { EINTR, errno } from "./errno.ts";
import { libc } from "./libc.ts";
import { AF_INET6, SOCKADDR_MAX } from "./sockaddr.ts";
import { AF_UNIX, writeUnixAddress } from "./unix-address.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;

export const MSG_PEEK = 0x02;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const MSG_ERRQUEUE = 0x2000;
/** struct msghdr, all zeros: neither address nor data nor control data is wanted. */
const MSGHDR_BYTES = 56;
/** More than a receive buffer holds. */
const MAX_KEPT_ERRORS = 4096;

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_OOBINLINE = 10;
const SO_LINGER = 13;
const SO_REUSEPORT = 15;
const SO_RCVLOWAT = 18;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_BINDTOIFINDEX = 62;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_INFO = 11;
const TCP_THIN_LINEAR_TIMEOUTS = 16;
const TCP_ESTABLISHED = 1;
/** Where it is in struct tcp_info. */
const TCPI_UNACKED = 24;
const TCPI_RTT = 68;
const TCPI_TOTAL_RETRANS = 100;
const IP_PKTINFO = 8;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const IP_RECVERR = 11;
const IP_BIND_ADDRESS_NO_PORT = 24;
const IPV6_RECVERR = 25;
const IPV6_MTU_DISCOVER = 23;
const IPV6_MTU = 24;
const PMTUDISC_DONT = 0;
const PMTUDISC_PROBE = 3;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const SOL_UDP = 17;
const UDP_GRO = 104;
const SOCK_FPROG_BYTES = 16;
const BPF_OPERATION_BYTES = 8;
const SIOCOUTQ = 0x5411;
const SHUT_WR = 1;
const F_DUPFD_CLOEXEC = 1030;
/** No device has it: the kernel counts up from 1. */
const NO_DEVICE = 0x7fffffff;

export function tcpSocket(family: number): number {
  const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : -errno();
}

export function udpSocket(family: number): number {
  const fd = libc.socket(family, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : -errno();
}

/**
 * A socket that is bound to an abstract name of AF_UNIX, which one socket of a network namespace can have at a time; or
 * -errno. [unix(7): abstract]
 */
export function claimName(name: string): number {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) return -errno();
  const length = writeUnixAddress(`@${name}`);
  const bound = bind(fd, scratch.address(0), length);
  if (bound === 0) return fd;
  close(fd);
  return bound;
}

export function bind(fd: number, address: Pointer, length: number): number {
  return libc.bind(fd, address, length) >= 0 ? 0 : -errno();
}

/**
 * To an address that connections are to leave from. Its port is found by connect, which may take one that has connections
 * to others; before Linux 4.2 each has a port of its own. 0 or -errno. [ip(7): IP_BIND_ADDRESS_NO_PORT]
 */
export function bindSource(fd: number, address: Pointer, length: number): number {
  setOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  return bind(fd, address, length);
}

export function listen(fd: number, backlog: number): number {
  return libc.listen(fd, backlog) >= 0 ? 0 : -errno();
}

/**
 * New clients are refused as if the port were closed; those that are in the handshake still get through,
 * and those in the queue stay. close() alone resets them all. Not to be undone without CAP_NET_RAW. 0 or -errno.
 */
export function refuseNewClients(fd: number): number {
  return setOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, NO_DEVICE);
}

/** The new socket, its peer in `address` (SOCKADDR_MAX bytes); `lengthAddress` points to an int32 that holds that size. */
export function accept(fd: number, address: Pointer, lengthAddress: Pointer): number {
  const accepted = libc.accept4(fd, address, lengthAddress, SOCK_NONBLOCK_CLOEXEC);
  return accepted >= 0 ? accepted : -errno();
}

/** 0 when connected, -EINPROGRESS while it lasts. Called again on a connecting socket it returns the outcome. */
export function connect(fd: number, address: Pointer, length: number): number {
  return libc.connect(fd, address, length) >= 0 ? 0 : -errno();
}

/** Bytes received, 0 at end of stream. */
export function recv(fd: number, address: Pointer, length: number, flags: number): number {
  const received = libc.recv(fd, address, length, flags);
  return received >= 0 ? received : -errno();
}

export function send(fd: number, address: Pointer, length: number): number {
  const sent = libc.send(fd, address, length, MSG_NOSIGNAL);
  return sent >= 0 ? sent : -errno();
}

export function shutdownWrite(fd: number): number {
  return libc.shutdown(fd, SHUT_WR) >= 0 ? 0 : -errno();
}

/** Linux frees the descriptor whatever close returns, so there is nothing to handle. */
export function close(fd: number): void {
  libc.close(fd);
}

/** A second descriptor with the lowest free number, or -errno. */
export function duplicate(fd: number): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy >= 0 ? copy : -errno();
}

/** The 32 bits at `offset` of struct tcp_info; 0 when there is none. */
function tcpInfo(fd: number, offset: number): number {
  scratch.int32[0] = offset + 4;
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, scratch.address(4), scratch.address(0)) < 0) return 0;
  return scratch.int32[(4 + offset) / 4]!;
}

function setOption(fd: number, level: number, option: number, value: number): number {
  scratch.int32[0] = value;
  return libc.setsockopt(fd, level, option, scratch.address(0), 4) >= 0 ? 0 : -errno();
}

export function setNoDelay(fd: number): number {
  return setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** Probes a silent peer after idleSec, then every intervalSec; `count` unanswered probes end the connection. */
export function setKeepAlive(fd: number, idleSec: number, intervalSec: number, count: number): void {
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, idleSec);
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, intervalSec);
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
}

/** Urgent bytes stay in the stream. Set it before one can arrive: those that came earlier may be lost. */
export function setOutOfBandInline(fd: number): number {
  return setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

/** Readiness to read is reported only from so many bytes on, or at the end of the stream. [socket(7): SO_RCVLOWAT] */
export function setReceiveLowWater(fd: number, bytes: number): number {
  return setOption(fd, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

export function setReuseAddress(fd: number): number {
  return setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

/** Lets every worker bind a socket of its own to one address; the kernel spreads clients over them. */
export function setReusePort(fd: number): number {
  return setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/**
 * Which of the sockets that share this one's address gets a datagram: `program`, of classic BPF over the payload, returns
 * its number in the order in which they were bound. One that none has: any of them. 0 or -errno.
 * [socket(7): SO_ATTACH_REUSEPORT_CBPF, linux/filter.h: struct sock_fprog]
 */
export function setPicker(fd: number, program: Uint8Array): number {
  const { bytes, view } = scratch;
  bytes.set(program, SOCK_FPROG_BYTES);
  view.setUint16(0, program.length / BPF_OPERATION_BYTES, true);
  view.setBigUint64(8, BigInt(scratch.address(SOCK_FPROG_BYTES)), true);
  const address = scratch.address(0);
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, address, SOCK_FPROG_BYTES) >= 0
    ? 0
    : -errno();
}

/** false: IPv4 too, whose addresses it then shows as IPv4-mapped ones. */
export function setV6Only(fd: number, isOnly = true): number {
  return setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, isOnly ? 1 : 0);
}

/** Received datagrams carry the local address they were sent to. */
export function setPacketInfo(fd: number, family: number): number {
  return family === AF_INET6
    ? setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    : setOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

/** Every ICMP error and a host without answer are reported, not only a refused port. [ip(7): IP_RECVERR] */
export function setReportErrors(fd: number, family: number): number {
  return family === AF_INET6
    ? setOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
    : setOption(fd, IPPROTO_IP, IP_RECVERR, 1);
}

/**
 * Datagrams leave whole, with DF set, whatever the MTU of the route or of an ICMP message: a datagram larger than the
 * device's MTU fails with -EMSGSIZE. [ip(7): IP_PMTUDISC_PROBE]
 */
export function setPathMtuProbing(fd: number, family: number): number {
  return family === AF_INET6
    ? setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    : setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
}

/**
 * Datagrams may be cut on the way, and ICMP about their size is not an error of the socket: it can be forged.
 * [ip(7): IP_PMTUDISC_DONT]
 */
export function setMayFragment(fd: number, family: number): number {
  return family === AF_INET6
    ? setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT)
    : setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
}

/**
 * Every ICMP error is reported, also those that may pass: that the host does not answer to ARP, above all. They are kept
 * for `dropErrors` besides. [ip(7): IP_RECVERR]
 */
export function setReceiveErrors(fd: number, family: number): number {
  return family === AF_INET6
    ? setOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
    : setOption(fd, IPPROTO_IP, IP_RECVERR, 1);
}

/**
 * ICMP errors are not reported: one about a datagram to a dead host would otherwise fail the next datagram, to whichever
 * host that goes. [ip(7): IP_RECVERR]
 */
export function setIgnoreErrors(fd: number): number {
  setOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 0); // a socket of IPv4 does not know it, one of IPv6 knows both
  return setOption(fd, IPPROTO_IP, IP_RECVERR, 0);
}

/** Datagrams that follow each other from one sender may be received as one, with their size. [udp(7): UDP_GRO] */
export function setReceiveJoined(fd: number): number {
  return setOption(fd, SOL_UDP, UDP_GRO, 1);
}

/** Asks for socket buffers of `size` bytes: past the system's limit where allowed, else up to it. */
export function setBufferSizes(fd: number, size: number): void {
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, size) < 0) setOption(fd, SOL_SOCKET, SO_RCVBUF, size);
  if (setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, size) < 0) setOption(fd, SOL_SOCKET, SO_SNDBUF, size);
}

/** close() will then send RST and forget unsent bytes. */
export function setResetOnClose(fd: number): number {
  scratch.int32[0] = 1;
  scratch.int32[1] = 0;
  return libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.address(0), 8) >= 0 ? 0 : -errno();
}

/** Bytes sent and not yet acknowledged by the peer. */
export function unsentBytes(fd: number): number {
  return libc.ioctl(fd, SIOCOUTQ, scratch.address(0)) >= 0 ? scratch.int32[0]! : 0;
}

/**
 * How often in a row bytes have been sent again, or a peer that takes nothing has been asked whether it does now, with
 * nothing coming back. A slow peer's kernel answers, so it is 0 for those. [struct tcp_info: tcpi_retransmits, tcpi_probes]
 */
export function unansweredSends(fd: number): number {
  scratch.int32[0] = 4;
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, scratch.address(4), scratch.address(0)) < 0) return 0;
  return scratch.bytes[4 + 2]! + scratch.bytes[4 + 3]!;
}

/** Connections that a listening socket has ready to be accepted. [struct tcp_info: tcpi_unacked] */
export function waitingClients(fd: number): number {
  return tcpInfo(fd, TCPI_UNACKED);
}

/** Its handshake is over, and neither side has closed. [struct tcp_info: tcpi_state] */
export function isEstablished(fd: number): boolean {
  return (tcpInfo(fd, 0) & 0xff) === TCP_ESTABLISHED;
}

/** As TCP has measured it, also of a handshake whose SYN was sent again; 0: it has not. [struct tcp_info: tcpi_rtt] */
export function roundTripMs(fd: number): number {
  return tcpInfo(fd, TCPI_RTT) / 1_000;
}

/** Segments sent again since the connection was begun. [struct tcp_info: tcpi_total_retrans] */
export function resentSegments(fd: number): number {
  return tcpInfo(fd, TCPI_TOTAL_RETRANS);
}

/**
 * What gets lost is sent again each time after the same timeout instead of twice the last one, for six times: for
 * connections with a message now and then. [tcp(7): tcp_thin_linear_timeouts]
 */
export function setThinStream(fd: number, isThin: boolean): number {
  return setOption(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, isThin ? 1 : 0);
}

/** MTU of the way that a connected socket sends on, as far as the routing tables know; 0 or less: not known. */
export function connectedMtu(fd: number, family: number): number {
  scratch.int32[0] = 4;
  const [level, option] = family === AF_INET6 ? [IPPROTO_IPV6, IPV6_MTU] : [IPPROTO_IP, IP_MTU];
  const result = libc.getsockopt(fd, level!, option!, scratch.address(4), scratch.address(0));
  return result < 0 ? -errno() : scratch.int32[1]!;
}

/** The error that the next call would report, as a positive errno, and takes it away; 0 = none. */
export function takeError(fd: number): number {
  scratch.int32[0] = 0;
  scratch.int32[1] = 4;
  libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, scratch.address(0), scratch.address(4));
  return scratch.int32[0]!;
}

/** Writes the socket's local address to `address`, SOCKADDR_MAX bytes; 0 or -errno. */
export function localAddress(fd: number, address: Pointer): number {
  scratch.int32[0] = SOCKADDR_MAX;
  return libc.getsockname(fd, address, scratch.address(0)) >= 0 ? 0 : -errno();
}

/** -EAGAIN, a count of messages, or another -errno; `messages` is an array of struct mmsghdr. */
export function recvMessages(fd: number, messages: Pointer, count: number): number {
  const received = libc.recvmmsg(fd, messages, count, 0, null);
  return received >= 0 ? received : -errno();
}

/**
 * Takes what `setReceiveErrors` keeps, which takes up room for datagrams otherwise: how many there were. Call it after the
 * error has been taken from the socket: this takes that, too.
 */
export function dropErrors(fd: number): number {
  scratch.bytes.fill(0, 0, MSGHDR_BYTES);
  for (let count = 0; count < MAX_KEPT_ERRORS; count++) {
    if (libc.recvmsg(fd, scratch.address(0), MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return count;
  }
  return MAX_KEPT_ERRORS;
}

/** Number of messages sent, which can be less than `count`, or -errno of the first. */
export function sendMessages(fd: number, messages: Pointer, count: number): number {
  for (;;) {
    const sent = libc.sendmmsg(fd, messages, count, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    const error = errno();
    if (error !== EINTR) return -error;
  }
}
