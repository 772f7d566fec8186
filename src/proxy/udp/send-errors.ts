/** What an errno of a UDP socket says about the datagram, the path and the task. */
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  EINVAL,
  EIO,
  EMFILE,
  EMSGSIZE,
  ENETUNREACH,
  ENFILE,
  ENOBUFS,
  ENOMEM,
} from "../../sys/errno.ts";

/** The datagram could not be queued; nothing is wrong with the task. */
export function isCongestion(error: number): boolean {
  return error === EAGAIN || error === ENOBUFS || error === ENOMEM;
}

/** The source address may be wrong rather than the task. */
export function isLocal(error: number): boolean {
  return error === EINVAL || error === EADDRNOTAVAIL || error === ENETUNREACH;
}

/** Datagrams cannot be sent as one segmented datagram: longer than the path's MTU, or a device that computes no checksums. */
export function isUnsegmentable(error: number): boolean {
  return error === EMSGSIZE || error === EINVAL || error === EIO;
}

/** There is no source port left; nothing is wrong with the task. */
export function isOutOfPorts(error: number): boolean {
  return error === EADDRNOTAVAIL || error === EADDRINUSE || error === EAGAIN;
}

/** There are no descriptors or no memory; nothing is wrong with the task. */
export function isExhaustion(error: number): boolean {
  return error === EMFILE || error === ENFILE || error === ENOBUFS || error === ENOMEM;
}
