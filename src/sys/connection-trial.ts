/** Whether a TCP port takes a connection; it is closed again at once. Nothing is sent over it. */
import { createConnection } from "node:net";

export interface ConnectionTrialOptions {
  readonly host: string;
  readonly port: number;
  /** Leaves from this address; null: any. */
  readonly localHost: string | null;
  readonly timeoutMs: number;
}

/** null: it took the connection; else the code of the error, "ETIMEDOUT" also when the time is over. */
export function tryConnection(options: ConnectionTrialOptions): Promise<string | null> {
  return new Promise((resolve) => {
    const { host, port, localHost, timeoutMs } = options;
    const socket = createConnection({ host, port, ...(localHost !== null && { localAddress: localHost }) });
    const timer = setTimeout(() => end("ETIMEDOUT"), timeoutMs);
    const end = (error: string | null) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on("error", () => {}); // it is over, whatever comes
      socket.destroy();
      resolve(error);
    };
    socket.on("connect", () => end(null));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
