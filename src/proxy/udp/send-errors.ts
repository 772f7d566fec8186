/** What an errno of a UDP socket says about the datagram, the path and the task. */
import { EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EINVAL, EIO, EMSGSIZE, ENETUNREACH } from "../../sys/errno.ts";

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
