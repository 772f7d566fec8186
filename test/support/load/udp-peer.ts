/** UDP sockets for tests: a client that keeps what it received, a task that answers. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { setIgnoreErrors } from "../../../src/sys/socket.ts";
import { waitFor } from "../time/wait-for.ts";

export interface Received {
  readonly data: Buffer;
  readonly from: RemoteInfo;
}

export class UdpPeer {
  readonly received: Received[] = [];
  /** Called for every datagram. */
  onDatagram: (datagram: Received) => void = () => {};
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // an ICMP error is nothing to a test's socket
    socket.on("error", () => {});
    socket.on("message", (data, from) => {
      const datagram = { data: Buffer.from(data), from };
      this.received.push(datagram);
      this.onDatagram(datagram);
    });
  }

  static async open(address = "127.0.0.1", port = 0): Promise<UdpPeer> {
    const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", recvBufferSize: 4 * 1024 * 1024 });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ port, address }, resolve);
    });
    // the types do not have it: an error about one datagram would take the next one to another address
    const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
    setIgnoreErrors(handle.fd);
    return new UdpPeer(socket);
  }

  /** A task that answers every datagram with `answer(data)`; the same bytes by default. */
  static async task(
    answer: (data: Buffer) => Buffer = (data) => data,
    address = "127.0.0.1",
  ): Promise<UdpPeer> {
    const task = await UdpPeer.open(address);
    task.onDatagram = ({ data, from }) => task.send(answer(data), from.port, from.address);
    return task;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** What was received, as text. */
  get texts(): string[] {
    return this.received.map(({ data }) => data.toString());
  }

  send(data: string | Uint8Array, port: number, address = "127.0.0.1"): void {
    this.#socket.send(data, port, address, () => {});
  }

  /** Sends, and resolves with the next datagram that arrives. */
  async ask(data: string | Uint8Array, port: number, address = "127.0.0.1"): Promise<Received> {
    const before = this.received.length;
    this.send(data, port, address);
    return waitFor(() => this.received[before], { what: "an answer" });
  }

  close(): void {
    try {
      this.#socket.close();
    } catch {
      // closed before
    }
  }
}
