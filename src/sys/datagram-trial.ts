/**
 * Sends a datagram a few times from a port of its own, and waits for an answer where one is expected. A firewall of this
 * machine that drops what it sends is noticed (EPERM), and so are a port that the other machine says is closed
 * (ECONNREFUSED), and a network that says it leads nowhere (EHOSTUNREACH).
 */
import { scratch } from "./arena.ts";
import { EADDRINUSE, EAGAIN, errnoCode } from "./errno.ts";
import { writeSockaddr } from "./sockaddr.ts";
import { close, connect, recv, send, setReportErrors, udpSocket } from "./socket.ts";
import { bindTo, familyOf, LOOK_MS, type TrialTarget } from "./trial-target.ts";

/** Of ports of a range, until one is free. */
const MAX_BINDS = 16;
const MAX_ANSWER_BYTES = 2_048;

export interface DatagramTrialOptions extends TrialTarget {
  /** Leaves from a port of this range that is free; null: any. */
  readonly localPorts: readonly [min: number, max: number] | null;
  /** At most 2 KiB. */
  readonly request: Uint8Array;
  /** When it is sent, ms from now, ascending. */
  readonly sendAtMs: readonly number[];
  readonly isAnswer: (bytes: Uint8Array) => boolean;
  /** From now. */
  readonly timeoutMs: number;
}

export interface DatagramTrial {
  readonly isAnswered: boolean;
  /** Code of the last error of sending, or that the network reported: "EPERM", "ECONNREFUSED"; null: none. */
  readonly error: string | null;
}

export async function tryDatagrams(options: DatagramTrialOptions): Promise<DatagramTrial> {
  const fd = udpSocket(familyOf(options));
  if (fd < 0) return failed(-fd);
  try {
    setReportErrors(fd, familyOf(options));
    const opened = bindToAny(fd, options) || connectTo(fd, options);
    return opened < 0 ? failed(-opened) : await exchange(fd, options);
  } finally {
    close(fd);
  }
}

async function exchange(fd: number, options: DatagramTrialOptions): Promise<DatagramTrial> {
  const { request, sendAtMs, isAnswer, timeoutMs } = options;
  const startMs = performance.now();
  let error = 0;
  let sent = 0;
  for (;;) {
    const elapsedMs = performance.now() - startMs;
    if (sent < sendAtMs.length && elapsedMs >= sendAtMs[sent]!) {
      sent++;
      scratch.bytes.set(request);
      const result = send(fd, scratch.address(0), request.length);
      if (result < 0) error = -result;
    }
    for (let length = receive(fd); length !== -EAGAIN; length = receive(fd)) {
      if (length < 0) error = -length;
      else if (isAnswer(scratch.bytes.slice(0, length))) return { isAnswered: true, error: null };
    }
    if (elapsedMs >= timeoutMs) return error === 0 ? { isAnswered: false, error: null } : failed(error);
    await Bun.sleep(LOOK_MS);
  }
}

function receive(fd: number): number {
  return recv(fd, scratch.address(0), MAX_ANSWER_BYTES, 0);
}

function bindToAny(fd: number, options: DatagramTrialOptions): number {
  const { localPorts } = options;
  if (localPorts === null) return bindTo(fd, options, 0);
  const [min, max] = localPorts;
  let bound = 0;
  for (let tries = 0; tries < MAX_BINDS; tries++) {
    bound = bindTo(fd, options, min + Math.floor(Math.random() * (max - min + 1)));
    if (bound !== -EADDRINUSE) break;
  }
  return bound;
}

function connectTo(fd: number, { address, port }: DatagramTrialOptions): number {
  const length = writeSockaddr(scratch.bytes, 0, address, port);
  return connect(fd, scratch.address(0), length);
}

function failed(error: number): DatagramTrial {
  return { isAnswered: false, error: errnoCode(error) };
}
