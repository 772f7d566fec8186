/**
 * The admin API on `admin.listen`: follows the configuration, and its listening socket goes on in the next process.
 * A port that cannot be had holds up nothing: it is reported and tried again.
 */
import { type AdminTcpHandle, type AdminTcpRules, AdminTcpServer } from "../../admin/index.ts";
import type { AdminHttpConfig } from "../../config/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { InheritedSockets } from "../../sys/inherited-sockets.ts";
import { close } from "../../sys/socket.ts";
import { formatHostPort } from "../../wire/index.ts";
import type { EventSink } from "../events/events.ts";
import type { Log } from "../log.ts";
import { SerialQueue } from "../serial-queue.ts";

const RETRY_MS = 5_000;

export interface AdminTcpOptions {
  readonly handle: AdminTcpHandle;
  readonly log: Log;
  readonly events: EventSink;
  /** steady */
  readonly clock: Clock;
  /** Name of this node: clients may ask for it by that. */
  readonly self: string;
  /** `sockets` are others now. */
  readonly onSockets?: () => void;
}

export interface AdminTcpStatus {
  /** "127.0.0.1:7980" */
  readonly listen: string;
  readonly isTls: boolean;
  /** null: it listens. */
  readonly error: string | null;
}

interface Open {
  readonly listen: string;
  readonly server: AdminTcpServer;
  /** Of the same socket, to be passed on. */
  readonly fd: number;
}

export class AdminTcp {
  readonly #options: AdminTcpOptions;
  readonly #queue = new SerialQueue();
  #wanted: AdminHttpConfig | null = null;
  #open: Open | null = null;
  #error: string | null = null;
  /** Of the process that ran this node before. */
  #inherited: { readonly listen: string; readonly fd: number } | null = null;
  #cancelRetry: () => void = () => undefined;
  #isClosed = false;

  constructor(options: AdminTcpOptions) {
    this.#options = options;
  }

  /** null: it is off. */
  get status(): AdminTcpStatus | null {
    if (this.#wanted === null) return null;
    return { listen: addressOf(this.#wanted), isTls: this.#wanted.tls !== null, error: this.#error };
  }

  /** For another process of this node. */
  get sockets(): readonly (readonly [key: string, fd: number])[] {
    return this.#open === null ? [] : [[keyOf(this.#open.listen), this.#open.fd]];
  }

  /** Takes the socket of another process of this node, to be used by `follow`. */
  adopt(http: AdminHttpConfig | null, sockets: InheritedSockets): void {
    if (http === null) return;
    const listen = addressOf(http);
    const fd = sockets.take(keyOf(listen));
    if (fd !== null) this.#inherited = { listen, fd };
  }

  /** Resolves when it listens, or cannot now. */
  follow(wanted: AdminHttpConfig | null): Promise<void> {
    this.#wanted = wanted;
    return this.#queue.run(() => this.#apply());
  }

  /** The socket is another process's: what is under way is answered, no more is accepted. */
  leave(): void {
    this.#end((server) => server.leave());
  }

  close(): void {
    this.#end((server) => server.close());
  }

  #end(endServer: (server: AdminTcpServer) => void): void {
    this.#isClosed = true;
    this.#cancelRetry();
    if (this.#inherited !== null) close(this.#inherited.fd);
    this.#inherited = null;
    this.#release(endServer);
  }

  async #apply(): Promise<void> {
    this.#cancelRetry();
    const wanted = this.#wanted;
    const listen = wanted === null ? null : addressOf(wanted);
    if (this.#open !== null && this.#open.listen !== listen) this.#release((server) => server.leave());
    if (wanted === null || this.#isClosed) return;
    try {
      if (this.#open === null) await this.#listen(wanted);
      else this.#open.server.change(this.#rulesOf(wanted));
      this.#report(null);
    } catch (error) {
      this.#report(`cannot listen on ${listen} (admin.listen): ${reasonOf(error as NodeJS.ErrnoException)}`);
      this.#cancelRetry = this.#options.clock.after(
        RETRY_MS,
        () => void this.#queue.run(() => this.#apply()),
      );
    }
  }

  async #listen(wanted: AdminHttpConfig): Promise<void> {
    const { handle, clock } = this.#options;
    const listen = addressOf(wanted);
    const fd = this.#takeInherited(listen);
    const rules = this.#rulesOf(wanted);
    const server = await AdminTcpServer.listen({
      ...wanted.listen,
      fd,
      rules,
      handle,
      nowMs: () => clock.nowMs(),
    });
    if (this.#isClosed) return server.close();
    this.#open = { listen, server, fd: server.duplicate() };
    this.#options.onSockets?.();
    this.#options.log.info({ listen }, `admin API: now listening on ${listen}${wanted.tls ? " (TLS)" : ""}`);
  }

  #rulesOf({ tokens, hosts, tls }: AdminHttpConfig): AdminTcpRules {
    return { tokens, hosts: [...hosts, this.#options.self.toLowerCase()], tls };
  }

  #takeInherited(listen: string): number | undefined {
    const inherited = this.#inherited;
    this.#inherited = null;
    if (inherited === null || inherited.listen === listen) return inherited?.fd;
    close(inherited.fd);
    return undefined;
  }

  #release(endServer: (server: AdminTcpServer) => void): void {
    const open = this.#open;
    this.#open = null;
    if (open === null) return;
    endServer(open.server);
    if (open.fd >= 0) close(open.fd);
    this.#options.onSockets?.();
  }

  #report(error: string | null): void {
    const isNew = error !== this.#error;
    this.#error = error;
    if (error === null || !isNew) return;
    this.#options.log.error(`${error}; trying again`);
    this.#options.events.record({ kind: "bind-error", message: error });
  }
}

function addressOf({ listen }: AdminHttpConfig): string {
  return formatHostPort(listen.host, listen.port);
}

function keyOf(listen: string): string {
  return `admin-tcp:${listen}`;
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === "EADDRINUSE") return "another program uses the port";
  if (code === "EADDRNOTAVAIL") return "this machine has no such address";
  if (code === "EACCES") return "permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE";
  return message;
}
