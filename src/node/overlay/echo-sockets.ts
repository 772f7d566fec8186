/**
 * The node's own UDP sockets at its overlay addresses, for echoes.
 *
 * Relays have sockets at the same address and port, and which one takes a datagram goes by their order in the kernel,
 * the node's own being the first (proxy/udp/relay/shared-port.ts). So it is open before those of relays, and stays open
 * when a driver begins anew at the same address.
 */
import { EchoSocket } from "../../overlay/index.ts";
import { close } from "../../sys/socket.ts";

/** A socket on its way to another process. */
export interface HandedEcho {
  readonly address: string;
  readonly fd: number;
}

export class EchoSockets {
  readonly #port: number;
  /** By address; bounded by the addresses that the node has had. */
  readonly #opening = new Map<string, Promise<EchoSocket>>();
  readonly #open = new Map<string, EchoSocket>();
  /** Descriptors by address, of sockets that nobody reads. */
  readonly #kept: Map<string, number>;
  #isClosed = false;

  /** @param port UDP, of all of them. @param handed of another process of this node */
  constructor(port: number, handed: readonly HandedEcho[] = []) {
    this.#port = port;
    this.#kept = new Map(handed.map(({ address, fd }) => [address, fd]));
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
  }

  /** Nothing is read until they are asked for again, here or in another process, which gets the descriptors. */
  pause(): readonly HandedEcho[] {
    for (const [address, socket] of this.#open) {
      const fd = socket.duplicate();
      if (fd >= 0) this.#kept.set(address, fd);
    }
    this.#closeOpen();
    return [...this.#kept].map(([address, fd]) => ({ address, fd }));
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
    return socket;
  }

  #takeKept(address: string): number | undefined {
    const fd = this.#kept.get(address);
    this.#kept.delete(address);
    return fd;
  }
}
