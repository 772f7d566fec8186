/** The listening socket of a node:net server, which may come from another process or go to one. */
import type { Server } from "node:net";
import { duplicate } from "./socket.ts";

export interface ListenAt {
  readonly host: string;
  readonly port: number;
  /** A listening socket to go on with, instead of opening one; it is the server's from now on. */
  readonly fd?: number | undefined;
}

/** Rejects with the error of the system when the address cannot be had. */
export function listenAt(server: Server, { host, port, fd }: ListenAt): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(fd === undefined ? { host, port } : { fd }, () => {
      server.off("error", reject);
      server.on("error", () => {}); // accepting failed once; the next one may not
      resolve();
    });
  });
}

export function listeningFd(server: Server): number {
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } };
  return handle.fd;
}

/** Another descriptor of its socket, which stays open when the server is closed; or -errno. */
export function duplicateListening(server: Server): number {
  return duplicate(listeningFd(server));
}
