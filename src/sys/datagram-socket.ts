/** A UDP socket for the main thread: few datagrams, no hurry. The data path has batches of its own (messages.ts). */
import type { udp } from "bun";

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly host: string;
  readonly port: number;
}

export interface DatagramSocketOptions {
  readonly host: string;
  readonly port: number;
  /** `bytes` are the receiver's from now on. */
  readonly onDatagram: (datagram: Datagram) => void;
}

export class DatagramSocket {
  readonly #socket: udp.Socket<"uint8array">;

  private constructor(socket: udp.Socket<"uint8array">) {
    this.#socket = socket;
  }

  /** Rejects with the error of the system when the address cannot be had. */
  static async open({ host, port, onDatagram }: DatagramSocketOptions): Promise<DatagramSocket> {
    const socket = await Bun.udpSocket({
      hostname: host,
      port,
      binaryType: "uint8array",
      socket: {
        data: (_, bytes, fromPort, fromHost) => onDatagram({ bytes, host: fromHost, port: fromPort }),
        error: () => {}, // of one datagram: whoever misses it asks again
      },
    });
    return new DatagramSocket(socket);
  }

  /** False when it was not taken: the buffer is full, or there is no way there. UDP promises nothing anyway. */
  send(bytes: Uint8Array, host: string, port: number): boolean {
    try {
      return this.#socket.send(bytes, port, host);
    } catch {
      return false;
    }
  }

  close(): void {
    this.#socket.close();
  }
}
