/**
 * The calls on TCP sockets that the proxy's state machines make. They are handed this object, so tests run them on
 * sockets in memory.
 */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLPRI, EPOLLRDHUP } from "./epoll.ts";
import { openPipe, splice } from "./pipe.ts";
import {
  bindSource,
  close,
  connect,
  isEstablished,
  localAddress,
  recv,
  resentSegments,
  roundTripMs,
  send,
  setKeepAlive,
  setNoDelay,
  setOutOfBandInline,
  setReceiveLowWater,
  setResetOnClose,
  setThinStream,
  shutdownWrite,
  tcpSocket,
  unansweredSends,
  unsentBytes,
} from "./socket.ts";

/** Registered once per socket; EPOLLOUT joins when a write has been refused for the first time. */
export const READ_EVENTS = EPOLLIN | EPOLLRDHUP | EPOLLPRI;
/** Reported whether they are registered or not. */
export const END_EVENTS = EPOLLERR | EPOLLHUP;

export const tcpSockets = {
  tcpSocket,
  bindSource,
  connect,
  recv,
  send,
  splice,
  openPipe,
  shutdownWrite,
  close,
  localAddress,
  setKeepAlive,
  setNoDelay,
  setOutOfBandInline,
  setReceiveLowWater,
  setResetOnClose,
  setThinStream,
  isEstablished,
  resentSegments,
  roundTripMs,
  unansweredSends,
  unsentBytes,
} as const;

/** See `socket.ts` and `pipe.ts` for each. */
export type TcpSockets = typeof tcpSockets;
