/**
 * Where a successor asks for a handover when it does not see the admin socket, as in another container of this node: a
 * socket in data_dir, which both share. The process that has locked the directory replaces the socket of the one before, which refuses by then.
 */
import { dirname, join } from "node:path";
import { type AdminServer, AdminSocketError, listenBeside } from "../../admin/index.ts";
import type { Log } from "../log.ts";

export const ENDPOINT_NAME = "handover.sock";

export class HandoverEndpoint {
  #server: AdminServer | null = null;

  constructor(readonly log: Log) {}

  /** Where the sockets are passed on: a path that no other node uses. Without a data_dir it is beside the admin socket. */
  takeoverSocket(adminSocket: string): string {
    return this.#server === null
      ? join(dirname(adminSocket), `takeover-${process.pid}.sock`)
      : join(dirname(this.#server.path), "takeover.sock");
  }

  /** @param directory that this process has locked; null: there is none. A node works without the socket. */
  async open(
    directory: string | null,
    handle: (request: Request) => Response | Promise<Response>,
  ): Promise<void> {
    if (directory === null) return;
    try {
      this.#server = await listenBeside(join(directory, ENDPOINT_NAME), handle);
    } catch (error) {
      const reason = error instanceof AdminSocketError ? error.reason : (error as Error).message;
      this.log.warn(`another container cannot take over: cannot listen in ${directory}: ${reason}`);
    }
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
  }
}
