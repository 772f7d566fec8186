/**
 * The node's UDP socket of an overlay address: echoes leave and arrive here. It shares address and port with the sockets
 * of relays, and outlives the service that uses it (node/overlay/echo-sockets.ts).
 *
 * It ignores the MTU of routes (IP_PMTUDISC_PROBE), so routes to peers can carry their MTU while larger probes still
 * leave.
 */
import { type Datagram, type DatagramFate, DatagramSocket } from "../../sys/datagram-socket.ts";

type OnDatagram = (datagram: Datagram) => void;

export class EchoSocket {
  #socket: DatagramSocket | null = null;
  #onDatagram: OnDatagram = drop;

  private constructor() {}

  /**
   * The address has to be this machine's already. Rejects with the error of the system when it cannot be had.
   * @param fd of `duplicate`, here or in another process of this node: it is this object's from now on
   */
  static async open(address: string, port: number, fd?: number): Promise<EchoSocket> {
    const opened = new EchoSocket();
    opened.#socket = await DatagramSocket.open({
      host: address,
      port,
      fd,
      isProbing: true,
      sharing: "beside",
      onDatagram: (datagram) => opened.#onDatagram(datagram),
    });
    return opened;
  }

  /** Replaces the receiver of what arrives. */
  receive(onDatagram: OnDatagram): void {
    this.#onDatagram = onDatagram;
  }

  /** What arrives is dropped from now on. */
  ignore(): void {
    this.#onDatagram = drop;
  }

  send(bytes: Uint8Array, host: string, port: number): DatagramFate {
    return this.#socket!.sendWhole(bytes, host, port);
  }

  get fd(): number {
    return this.#socket!.fd;
  }

  /** Another descriptor of it, which stays open when this object is closed; or -errno. */
  duplicate(): number {
    return this.#socket!.duplicate();
  }

  close(): void {
    this.#socket?.close();
  }
}

function drop(): void {}
