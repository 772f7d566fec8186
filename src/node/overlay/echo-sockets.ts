/**
 * The node's own UDP sockets at its overlay addresses, for echoes.
 *
 * Relays have sockets at the same address and port, and which one takes a datagram goes by their order in the kernel,
 * the node's own being the first (proxy/udp/relay/shared-port.ts). So it is open before those of relays, and stays open
 * when a driver begins anew at the same address.
 */
import { EchoSocket } from "../../overlay/index.ts";
import { close } from "../../sys/socket.ts";
import { formatHostPort } from "../../wire/index.ts";
import type { SocketList } from "../socket-list.ts";

const KIND = "echo-udp";

export class EchoSockets {
  readonly #port: number;
  /** By address; bounded by the addresses that the node has had. */
  readonly #opening = new Map<string, Promise<EchoSocket>>();
  readonly #open = new Map<string, EchoSocket>();
  /** Descriptors by "address:port", of sockets that nobody reads. */
  readonly #kept: Map<string, number>;
  #isClosed = false;

  /**
   * @param port UDP, of all of them
   * @param sockets with those of another process of this node: kept until their address is asked for, as relays stand
   * behind them
   */
  constructor(
    port: number,
    readonly sockets?: SocketList,
  ) {
    this.#port = port;
    this.#kept = new Map(sockets?.inherited.takeKind(KIND) ?? []);
  }

  /** Relays may stand behind it. */
  isOpenAt(address: string): boolean {
    return this.#open.has(address);
  }

  /** The one of this address, opened if there is none. Rejects with the error of the system. */
  at(address: string): Promise<EchoSocket> {
    const known = this.#opening.get(address);
    if (known !== undefined) return known;
    const opening = this.#openAt(address);
    this.#opening.set(address, opening);
    opening.catch(() => this.#opening.delete(address));
    return opening;
  }

  close(): void {
    this.#isClosed = true;
    this.#closeOpen();
    for (const fd of this.#kept.values()) close(fd);
    this.#kept.clear();
    this.sockets?.set("echoes", []);
  }

  /** Nothing is read until they are asked for again, here or in another process. */
  pause(): void {
    for (const [address, socket] of this.#open) {
      const fd = socket.duplicate();
      if (fd >= 0) this.#kept.set(this.#hostPort(address), fd);
    }
    this.#closeOpen();
  }

  #hostPort(address: string): string {
    return formatHostPort(address, this.#port);
  }

  #closeOpen(): void {
    for (const socket of this.#open.values()) socket.close();
    this.#open.clear();
    this.#opening.clear();
  }

  async #openAt(address: string): Promise<EchoSocket> {
    const socket = await EchoSocket.open(address, this.#port, this.#takeKept(address));
    if (this.#isClosed) socket.close();
    else this.#open.set(address, socket);
    this.#tell();
    return socket;
  }

  #takeKept(address: string): number | undefined {
    const key = this.#hostPort(address);
    const fd = this.#kept.get(key);
    this.#kept.delete(key);
    return fd;
  }

  #tell(): void {
    const open = [...this.#open].map(([address, { fd }]) => [this.#hostPort(address), fd] as const);
    this.sockets?.set(
      "echoes",
      [...this.#kept, ...open].map(([hostPort, fd]) => [`${KIND}:${hostPort}`, fd]),
    );
  }
}
