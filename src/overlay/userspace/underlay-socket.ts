/** The UDP socket of the overlay's port: joined datagrams, large buffers, never fragmented. */

import { scratch } from "../../sys/arena.ts";
import { check, EADDRINUSE, SysError } from "../../sys/errno.ts";
import { findUdpPortOwner } from "../../sys/port-owner.ts";
import { AF_INET6, addressFamily, SOCKADDR_MAX, writeSockaddr } from "../../sys/sockaddr.ts";
import {
  bind,
  close,
  setBufferSizes,
  setPathMtuProbing,
  setReceiveJoined,
  setV6Only,
  udpSocket,
} from "../../sys/socket.ts";
import { parseIp } from "../../wire/index.ts";
import type { OverlayEnd } from "../driver.ts";
import { OverlayError } from "../overlay-error.ts";

/** What arrives while the worker writes super-packets to the device; the system's limit is passed where allowed. */
const BUFFER_BYTES = 8 * 1024 * 1024;

export interface UnderlaySocket {
  readonly fd: number;
  /** AF_INET or AF_INET6. */
  readonly family: number;
  /** False: the kernel hands over every datagram by itself. */
  readonly isJoined: boolean;
}

/** Throws OverlayError. */
export function openUnderlaySocket(end: OverlayEnd): UnderlaySocket {
  const family = addressFamily(end.underlayAddress);
  let fd = -1;
  try {
    fd = check("socket", udpSocket(family));
    if (family === AF_INET6) check("setsockopt IPV6_V6ONLY", setV6Only(fd));
    check("setsockopt MTU_DISCOVER", setPathMtuProbing(fd, family));
    setBufferSizes(fd, BUFFER_BYTES);
    const isJoined = setReceiveJoined(fd) === 0;
    const address = parseIp(end.underlayAddress)!.bytes;
    scratch.bytes.fill(0, 0, SOCKADDR_MAX);
    const length = writeSockaddr(scratch.bytes, 0, address, end.port);
    check("bind", bind(fd, scratch.address(0), length));
    return { fd, family, isJoined };
  } catch (error) {
    if (fd >= 0) close(fd);
    throw error instanceof SysError ? explain(error, end) : error;
  }
}

function explain(cause: SysError, { device, port, underlayAddress }: OverlayEnd): OverlayError {
  const cannot = `cannot use UDP port ${port} of ${underlayAddress} for ${device}: `;
  if (cause.errnoValue !== EADDRINUSE) return new OverlayError("refused", cannot + cause.message, { cause });
  const owner = findUdpPortOwner(port);
  const who =
    owner?.process == null
      ? "a VXLAN interface, or a process that is not visible from here,"
      : `process ${owner.process.pid} (${owner.process.name})`;
  return new OverlayError("port-taken", `${cannot}${who} uses it; stop it or set another overlay.port`, {
    cause,
  });
}
