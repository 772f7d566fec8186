/**
 * Opens the sockets of published ports: one per worker for every address, bound with SO_REUSEPORT so that the kernel
 * spreads clients over the workers.
 *
 * SO_REUSEPORT would also let a second portmesh share the port unnoticed, so the address is first tried without it.
 */
import { Arena } from "../../sys/arena.ts";
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EMFILE,
  EPERM,
  errnoText,
} from "../../sys/errno.ts";
import { type OwnPorts, readLocalPortRange } from "../../sys/port-owner.ts";
import { AF_INET6, writeSockaddr } from "../../sys/sockaddr.ts";
import {
  bind,
  close,
  listen,
  refuseNewClients,
  setBufferSizes,
  setNoDelay,
  setOutOfBandInline,
  setPacketInfo,
  setPicker,
  setReuseAddress,
  setReusePort,
  setV6Only,
  tcpSocket,
  udpSocket,
} from "../../sys/socket.ts";
import { parseIp } from "../../wire/index.ts";
import { keepAlive } from "../table/keep-alive.ts";
import { sharedPortPicker } from "../udp/relay/shared-port.ts";
import { cannotListen, type ListenAddress } from "./listen-address.ts";

/** The kernel lowers it to net.core.somaxconn. */
const BACKLOG = 65_535;
/** A round trip within a continent: as long as a handshake may take that begins just before a port is closed. */
const HANDSHAKE_MS = 50;
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

export type OpenedSockets = { readonly fds: readonly number[] } | { readonly error: string };

const memory = new Arena(4096);

/**
 * Bound sockets, one per worker; TCP ones do not listen yet (`startListening`). `isShared`: the process has a socket on
 * this port already, so a conflict with it is none.
 * @param before that many workers have their sockets at the address already
 */
export function openListeningSockets(
  at: ListenAddress,
  count: number,
  isShared: boolean,
  ownPorts: OwnPorts,
  before = 0,
): OpenedSockets {
  if (!isShared && at.isBesideNode !== true) {
    const probe = openBound(at, false);
    if (probe < 0) return { error: explain(at, -probe, ownPorts) };
    close(probe);
  }
  const fds: number[] = [];
  for (let i = 0; i < count; i++) {
    const fd = openBound(at, true);
    if (fd < 0) {
      fds.forEach(close);
      return { error: explain(at, -fd, ownPorts) };
    }
    fds.push(fd);
  }
  const picked = at.isBesideNode === true ? pickAmong(fds, before + count) : 0;
  if (picked === 0) return { fds };
  fds.forEach(close);
  return { error: explain(at, -picked, ownPorts) };
}

/** Beside the node's own socket: each datagram goes to one of so many workers, or to the node. 0 or -errno. */
export function pickAmong(fds: readonly number[], workers: number): number {
  return fds.length === 0 ? 0 : setPicker(fds[0]!, sharedPortPicker(workers));
}

/** From now on clients get through the handshake and wait for the worker to accept. 0 or -errno. */
export function startListening(fd: number): number {
  return listen(fd, BACKLOG);
}

/**
 * Before sockets are closed: refuses new clients and gives those in the handshake the time to get through to the worker,
 * which close() would reset.
 */
export async function stopListening(fds: readonly number[]): Promise<void> {
  fds.forEach(refuseNewClients);
  await Bun.sleep(HANDSHAKE_MS);
}

/** A descriptor or -errno. */
function openBound(at: ListenAddress, isReusePort: boolean): number {
  const ip = parseIp(at.address)!;
  const length = writeSockaddr(memory.bytes, 0, ip.bytes, at.port);
  const family = memory.bytes[0]!;
  const fd = at.protocol === "tcp" ? tcpSocket(family) : udpSocket(family);
  if (fd < 0) return fd;
  if (family === AF_INET6) setV6Only(fd, !isDual(at));
  if (isReusePort) setReusePort(fd);
  if (at.protocol === "tcp") setTcpOptions(fd);
  else setUdpOptions(fd, family);
  const result = bind(fd, memory.address(0), length);
  if (result === 0) return fd;
  close(fd);
  return result;
}

/** Sockets share an address only with those that take the same families. */
function isDual({ address, isDual, isBesideNode }: ListenAddress): boolean {
  return isDual === true || (isBesideNode === true && address === "::");
}

/** Accepted connections inherit all of them. */
function setTcpOptions(fd: number): void {
  setReuseAddress(fd);
  setNoDelay(fd);
  setOutOfBandInline(fd);
  keepAlive(fd);
}

/** A host with several addresses must answer from the one that was asked, hence the packet information. */
function setUdpOptions(fd: number, family: number): void {
  setPacketInfo(fd, family);
  setBufferSizes(fd, UDP_BUFFER_BYTES);
}

function explain(at: ListenAddress, error: number, ownPorts: OwnPorts): string {
  return cannotListen(at, reasonOf(at, error, ownPorts));
}

function reasonOf({ protocol, address, port }: ListenAddress, error: number, ownPorts: OwnPorts): string {
  switch (error) {
    case EADDRINUSE:
      return portInUse(port, ownPorts.useOf(protocol, address, port));
    case EACCES:
    case EPERM:
      return "ports below 1024 need root or CAP_NET_BIND_SERVICE (setcap cap_net_bind_service=+ep portmesh)";
    case EADDRNOTAVAIL:
      return "this node has no such address";
    case EAFNOSUPPORT:
      return "the kernel has no IPv6";
    case EMFILE:
      return "out of file descriptors (raise the limit: ulimit -n)";
    default:
      return errnoText(error);
  }
}

function portInUse(port: number, ownUse: ReturnType<OwnPorts["useOf"]>): string {
  if (ownUse === null) return `another program uses it (find it with: ss -lnp 'sport = :${port}')`;
  if (ownUse === "waiting")
    return "this node uses it itself (cluster.bind, overlay.port): publish another port, or change that one";
  const range = readLocalPortRange();
  const where = range === null ? "" : ` (${range.first}-${range.last})`;
  return (
    `a connection of this node uses it as its local port, from net.ipv4.ip_local_port_range${where}; ` +
    `publish a port outside that range, or reserve it: sysctl -w net.ipv4.ip_local_reserved_ports=${port}`
  );
}
