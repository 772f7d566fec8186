/** A UDP socket for the main thread: few datagrams, no hurry. The data path has batches of its own (mmsg.ts). */
import type { udp } from "bun";
import { check } from "./errno.ts";
import { SourceAddressSender } from "./send-from.ts";
import { addressFamily } from "./sockaddr.ts";
import { duplicate, setIgnoreErrors, setPathMtuProbing, setPicker } from "./socket.ts";

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly host: string;
  readonly port: number;
}

/**
 * Other sockets of this process at the same address, later. This one stays the first and gets all datagrams until `setPicker`
 * says otherwise. `none`: there are none. `first`: there may be from now on, and the address is free now. `beside`:
 * another socket may already have it, at a wildcard address.
 */
export type Sharing = "none" | "first" | "beside";

/** LIBUS_LISTEN_REUSE_PORT, as node:dgram hands it to the runtime: SO_REUSEPORT is set before the socket is bound. */
const REUSE_PORT_FLAG = 4;
/** Classic BPF, one operation: return 0, the first socket. */
const PICK_FIRST = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0, 0);

export interface DatagramSocketOptions {
  readonly host: string;
  readonly port: number;
  /** Datagrams leave whole or not at all: `host` is a literal address then. */
  readonly isProbing?: boolean;
  readonly sharing?: Sharing;
  /** A bound socket to go on with, instead of opening one; it is this object's from now on. */
  readonly fd?: number | undefined;
  /** `bytes` are the receiver's from now on. */
  readonly onDatagram: (datagram: Datagram) => void;
}

/** "too-big": more than the device takes, of a probing socket; "failed": the buffer is full, or there is no route. */
export type DatagramFate = "sent" | "too-big" | "failed";

export class DatagramSocket {
  readonly #socket: udp.Socket<"uint8array">;
  readonly #fd: number;
  #sender: SourceAddressSender | null = null;
  /** Its descriptor may be another socket's by now. */
  #isClosed = false;

  private constructor(socket: udp.Socket<"uint8array">, fd: number) {
    this.#socket = socket;
    this.#fd = fd;
    check("setsockopt", setIgnoreErrors(fd)); // the runtime has errors reported
  }

  /** Rejects with the error of the system when the address cannot be had. */
  static async open({
    host,
    port,
    isProbing = false,
    sharing = "none",
    fd: inheritedFd,
    onDatagram,
  }: DatagramSocketOptions): Promise<DatagramSocket> {
    if (inheritedFd !== undefined) return DatagramSocket.#adopt(inheritedFd, onDatagram);
    if (sharing === "first") await expectFree(host, port);
    const flags = sharing === "none" ? {} : { flags: REUSE_PORT_FLAG };
    const socket = await Bun.udpSocket({
      hostname: host,
      port,
      ...flags,
      ...handlersFor(onDatagram),
    });
    // the types do not have it, the sockets do
    const { fd } = socket as unknown as { readonly fd: number };
    if (isProbing) check("setsockopt", setPathMtuProbing(fd, addressFamily(host)));
    if (sharing !== "none") check("setsockopt", setPicker(fd, PICK_FIRST));
    return new DatagramSocket(socket, fd);
  }

  static async #adopt(fd: number, onDatagram: DatagramSocketOptions["onDatagram"]): Promise<DatagramSocket> {
    // the types do not have `fd`, the runtime does
    const options = { fd, ...handlersFor(onDatagram) } as unknown as Parameters<typeof Bun.udpSocket>[0];
    return new DatagramSocket((await Bun.udpSocket(options)) as udp.Socket<"uint8array">, fd);
  }

  get fd(): number {
    return this.#fd;
  }

  /** Another descriptor of the socket, which stays open when this object is closed; or -errno. */
  duplicate(): number {
    return duplicate(this.#fd);
  }

  /** False when it was not sent: the buffer is full, or there is no route. UDP promises nothing anyway. */
  send(bytes: Uint8Array, host: string, port: number): boolean {
    try {
      return this.#socket.send(bytes, port, host);
    } catch {
      return false;
    }
  }

  /**
   * As `send`, from a local address of the socket's family; false too when the machine does not have it.
   * @param to, source 4 or 16 bytes both
   */
  sendFrom(source: Uint8Array, bytes: Uint8Array, to: Uint8Array, port: number): boolean {
    if (this.#isClosed) return false;
    this.#sender ??= new SourceAddressSender();
    return this.#sender.send(this.#fd, bytes, to, port, source) > 0;
  }

  /** As `send`, but reports a datagram that is too large to leave whole. */
  sendWhole(bytes: Uint8Array, host: string, port: number): DatagramFate {
    try {
      return this.#socket.send(bytes, port, host) ? "sent" : "failed";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EMSGSIZE" ? "too-big" : "failed";
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.close();
  }
}

function handlersFor(onDatagram: DatagramSocketOptions["onDatagram"]) {
  return {
    binaryType: "uint8array",
    socket: {
      data: (_: unknown, bytes: Uint8Array, fromPort: number, fromHost: string) =>
        onDatagram({ bytes, host: fromHost, port: fromPort }),
      error: () => {}, // of one datagram: the peer asks again
    },
  } as const;
}

/** Rejects where another socket has the address, also one that would share it. */
async function expectFree(hostname: string, port: number): Promise<void> {
  const probe = await Bun.udpSocket({ hostname, port });
  probe.close();
}
