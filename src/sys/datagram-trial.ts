/**
 * Sends a datagram a few times from a port of its own, and waits for an answer where one is expected. A firewall of this
 * machine that drops what it sends is noticed (EPERM), and so is a port that the other machine says is closed.
 */
import { createSocket, type Socket } from "node:dgram";

/** Of ports of a range, until one is free. */
const MAX_BINDS = 16;

export interface DatagramTrialOptions {
  readonly host: string;
  readonly port: number;
  /** Leaves from this address; null: any. */
  readonly localHost: string | null;
  /** Leaves from a port of this range that is free; null: any. */
  readonly localPorts: readonly [min: number, max: number] | null;
  readonly request: Uint8Array;
  /** When it is sent, ms from now. */
  readonly sendAtMs: readonly number[];
  /** null: no answer is expected, and the trial ends with the last datagram. */
  readonly isAnswer: ((bytes: Uint8Array) => boolean) | null;
  /** From now; only where an answer is expected. */
  readonly timeoutMs: number;
}

export interface DatagramTrial {
  readonly isAnswered: boolean;
  /** Code of the last error of sending, or that the other machine reported: "EPERM", "ECONNREFUSED"; null: none. */
  readonly error: string | null;
}

export function tryDatagrams(options: DatagramTrialOptions): Promise<DatagramTrial> {
  return new Promise((resolve) => {
    const { host, port, request, sendAtMs, isAnswer, timeoutMs } = options;
    let socket: Socket | null = null;
    let binds = 0;
    const timers: ReturnType<typeof setTimeout>[] = [];
    let error: string | null = null;
    let isOver = false;
    const end = (isAnswered: boolean) => {
      if (isOver) return;
      isOver = true;
      for (const timer of timers) clearTimeout(timer);
      socket?.close();
      resolve({ isAnswered, error: isAnswered ? null : error });
    };
    const onError = (failure: NodeJS.ErrnoException | null | undefined) => {
      if (failure != null) error = failure.code ?? failure.message;
    };
    const send = (isLast: boolean) => {
      if (isOver) return;
      socket?.send(request, (failure) => {
        onError(failure);
        if (isLast && isAnswer === null) end(false);
      });
    };
    const begin = (opened: Socket) => {
      if (isOver) return void opened.close();
      socket = opened;
      opened.on("message", (bytes) => {
        if (isAnswer?.(bytes)) end(true);
      });
      opened.connect(port, host, (failure?: Error) => {
        onError(failure as NodeJS.ErrnoException | undefined);
        const lastMs = Math.max(...sendAtMs);
        for (const atMs of sendAtMs) timers.push(setTimeout(() => send(atMs === lastMs), atMs));
      });
    };
    const open = () => {
      const opened = createSocket(host.includes(":") ? "udp6" : "udp4");
      opened.on("error", (failure: NodeJS.ErrnoException) => {
        const isPortTaken = socket === null && failure.code === "EADDRINUSE";
        if (!isPortTaken || ++binds >= MAX_BINDS) return onError(failure);
        opened.close();
        open();
      });
      opened.bind(bindOptions(options), () => begin(opened));
    };
    timers.push(setTimeout(() => end(false), isAnswer === null ? Math.max(...sendAtMs) + 1_000 : timeoutMs));
    open();
  });
}

function bindOptions({ localHost, localPorts }: DatagramTrialOptions): { port: number; address?: string } {
  const [min, max] = localPorts ?? [0, 0];
  const port = min + Math.floor(Math.random() * (max - min + 1));
  return { port, ...(localHost !== null && { address: localHost }) };
}
