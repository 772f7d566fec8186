/** A TCP connection of one probe. It is closed at the end, whatever happened. */
import { createConnection, type Socket } from "node:net";
import { constants } from "node:os";
import { errnoText } from "../../sys/errno.ts";
import { down, type ProbeResult } from "../probe-result.ts";

export interface ProbeTarget {
  /** Literal IP address. */
  readonly address: string;
  readonly port: number;
}

/** @param onOpen the connection is open; it ends the probe with `end` */
export function overConnection(
  { address, port }: ProbeTarget,
  signal: AbortSignal,
  onOpen: (socket: Socket, end: (result: ProbeResult) => void) => void,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: address, port });
    const end = (result: ProbeResult) => {
      resolve(result);
      socket.destroy();
    };
    signal.addEventListener("abort", () => end(down("called off")), { once: true });
    socket.on("error", (error) => end(down(reasonOf(error))));
    socket.on("connect", () => onOpen(socket, end));
  });
}

/** In the words of the rest of portmesh: "connection refused". */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const errno = (constants.errno as Readonly<Record<string, number>>)[code ?? ""];
  return errno === undefined ? (message ?? String(error)) : errnoText(errno);
}
