/**
 * The node's own UDP sockets at its overlay addresses, for echoes.
 *
 * Relays have sockets at the same address and port, and which one takes a datagram goes by their order in the kernel,
 * the node's own being the first (proxy/udp/relay/shared-port.ts). So it is open before those of relays, and stays open
 * when a driver begins anew at the same address.
 */
import { EchoSocket } from "../../overlay/index.ts";

export class EchoSockets {
  readonly #port: number;
  /** By address; bounded by the addresses that the node has had. */
  readonly #opening = new Map<string, Promise<EchoSocket>>();
  readonly #open = new Map<string, EchoSocket>();
  #isClosed = false;

  /** @param port UDP, of all of them */
  constructor(port: number) {
    this.#port = port;
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
    this.closeAll();
  }

  /** They are opened again when they are asked for. */
  closeAll(): void {
    for (const socket of this.#open.values()) socket.close();
    this.#open.clear();
    this.#opening.clear();
  }

  async #openAt(address: string): Promise<EchoSocket> {
    const socket = await EchoSocket.open(address, this.#port);
    if (this.#isClosed) socket.close();
    else this.#open.set(address, socket);
    return socket;
  }
}
