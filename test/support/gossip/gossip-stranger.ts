/** A stranger without a key at a gossip port: many connections that hold what they can, opened again when they are closed. */
import { createConnection, type Socket } from "node:net";

export interface StrangerOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Where connection `index` comes from; default: where the system lets it come from. */
  readonly localAddress?: (index: number) => string;
  /** What each connection sends at first. */
  readonly bytes?: Uint8Array;
  /** Then one byte so often; 0: nothing more. */
  readonly trickleMs?: number;
}

export class GossipStranger implements Disposable {
  opened = 0;
  closedByPeer = 0;
  readonly #options: StrangerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #timer: ReturnType<typeof setInterval> | null;
  #isOver = false;

  constructor(options: StrangerOptions) {
    this.#options = options;
    for (let index = 0; index < options.connections; index++) this.#open(index);
    const { trickleMs = 0 } = options;
    this.#timer = trickleMs > 0 ? setInterval(() => this.#trickle(), trickleMs) : null;
  }

  get open(): number {
    return [...this.#sockets].filter((socket) => socket.readyState === "open").length;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(index: number): void {
    const { host, port, localAddress, bytes } = this.#options;
    const socket = createConnection({
      host,
      port,
      ...(localAddress && { localAddress: localAddress(index) }),
    });
    this.#sockets.add(socket);
    socket.on("connect", () => {
      this.opened++;
      if (bytes !== undefined) socket.write(bytes);
    });
    socket.on("data", () => {});
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.closedByPeer++;
      this.#sockets.delete(socket);
      if (!this.#isOver) setTimeout(() => this.#isOver || this.#open(index), 10);
    });
  }

  #trickle(): void {
    for (const socket of this.#sockets) if (socket.readyState === "open") socket.write(Uint8Array.of(0));
  }
}
