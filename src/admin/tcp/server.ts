/**
 * The admin API over TCP, for load balancers, monitoring and programs on other machines. A small server of its own: what the
 * runtime has bounds neither connections nor the time a request takes, and cannot continue with the socket of another process.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { duplicateListening, type ListenAt, listenAt } from "../../sys/tcp-server.ts";
import { Access, type AccessRules } from "./access.ts";
import { addressKey } from "./address-budget.ts";
import { Connection, type Handle } from "./connection.ts";
import { HANDSHAKE_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS } from "./limits.ts";

export interface TlsFiles {
  /** PEM, with intermediates. */
  readonly cert: string;
  readonly key: string;
}

export interface AdminTcpRules extends Pick<AccessRules, "tokens" | "hosts"> {
  /** null: plain HTTP. */
  readonly tls: TlsFiles | null;
}

export interface AdminTcpOptions extends ListenAt {
  readonly rules: AdminTcpRules;
  readonly handle: Handle;
  /** ms, steady */
  readonly nowMs: () => number;
}

export class AdminTcpServer {
  readonly #options: AdminTcpOptions;
  readonly #server: Server;
  readonly #access: Access;
  readonly #held = { bytes: 0 };
  /** By client address; bounded by MAX_CONNECTIONS. */
  readonly #counts = new Map<string, number>();
  readonly #connections = new Set<Connection>(); // bounded by MAX_CONNECTIONS
  readonly #sockets = new Set<Socket>(); // bounded by MAX_CONNECTIONS
  #rules: AdminTcpRules;
  #context: SecureContext | null;
  #isClosing = false;

  /** Rejects with the error of the system when the address cannot be had, or with that of TLS. */
  static async listen(options: AdminTcpOptions): Promise<AdminTcpServer> {
    const admin = new AdminTcpServer(options);
    await listenAt(admin.#server, options);
    return admin;
  }

  private constructor(options: AdminTcpOptions) {
    this.#options = options;
    this.#rules = options.rules;
    this.#context = contextOf(options.rules);
    this.#access = new Access(() => ({ ...this.#rules, isTls: this.#rules.tls !== null }));
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** For requests and connections from now on. Throws when TLS refuses the files; the old rules stay then. */
  change(rules: AdminTcpRules): void {
    if (!Bun.deepEquals(rules.tls, this.#rules.tls)) this.#context = contextOf(rules);
    this.#rules = rules;
  }

  /** Another descriptor of the listening socket, which stays open when this object is closed; or -errno. */
  duplicate(): number {
    return duplicateListening(this.#server);
  }

  /** Takes no new clients; the requests under way are answered, and their connections closed. */
  leave(): void {
    this.#isClosing = true;
    this.#server.close();
    for (const connection of this.#connections) if (connection.isIdle) connection.destroy();
  }

  close(): void {
    this.leave();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const client = addressKey(address);
    const count = this.#counts.get(client) ?? 0;
    if (this.#sockets.size >= MAX_CONNECTIONS || count >= MAX_CONNECTIONS_PER_ADDRESS) {
      socket.destroy();
      return;
    }
    this.#counts.set(client, count + 1);
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#sockets.delete(socket);
      const left = (this.#counts.get(client) ?? 1) - 1;
      if (left === 0) this.#counts.delete(client);
      else this.#counts.set(client, left);
    });
    if (this.#context === null) this.#serve(socket, address, false);
    else this.#handshake(socket, address, this.#context);
  }

  #handshake(socket: Socket, address: string, secureContext: SecureContext): void {
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    const secure = new TLSSocket(socket, { isServer: true, secureContext });
    secure.on("error", () => socket.destroy());
    secure.on("close", () => {
      clearTimeout(timer);
      socket.destroy();
    });
    secure.on("secure", () => {
      clearTimeout(timer);
      this.#serve(secure, address, true);
    });
  }

  #serve(socket: Socket, address: string, isTls: boolean): void {
    const { handle, nowMs } = this.#options;
    const connection = new Connection(socket, {
      address,
      isTls,
      handle,
      judge: (head, from) => this.#access.judge(head, from, nowMs()),
      held: this.#held,
      isClosing: () => this.#isClosing,
    });
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
  }
}

function contextOf({ tls }: AdminTcpRules): SecureContext | null {
  return tls === null ? null : createSecureContext({ ...tls, minVersion: "TLSv1.2" });
}
