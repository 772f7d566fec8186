/** Sockets of sessions, each connected to its task: an interface, as tests have none, and the kernel's behind it. */
import type { Arena } from "../../sys/arena.ts";
import {
  AF_INET,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_MAX,
  writeAnyAddress,
} from "../../sys/sockaddr.ts";
import {
  bind,
  connect,
  localAddress,
  setReceiveErrors,
  setReuseAddress,
  udpSocket,
} from "../../sys/socket.ts";
import { claimBlock } from "../table/source-ports.ts";
import type { Target } from "../table/target.ts";

/** Results are 0 or -errno where nothing else is said. */
export interface SessionSockets {
  /** A descriptor or -errno. */
  open(family: number): number;
  /** Takes a block of local ports for this worker as long as the descriptor is open; negative: another has it. */
  claim(block: number): number;
  /** To a local port that sessions with other tasks may have too. */
  bind(fd: number, family: number, port: number): number;
  connect(fd: number, target: Target): number;
  /** Whether two connected sockets send from the same address. */
  haveSameSource(one: number, other: number): boolean;
}

export class KernelSockets implements SessionSockets {
  /** For one call at a time. */
  readonly #sockaddrAt: number;

  constructor(readonly memory: Arena) {
    this.#sockaddrAt = memory.take(SOCKADDR_MAX);
  }

  open(family: number): number {
    return udpSocket(family);
  }

  claim(block: number): number {
    return claimBlock(block);
  }

  bind(fd: number, family: number, port: number): number {
    setReuseAddress(fd);
    const length = writeAnyAddress(this.memory.bytes, this.#sockaddrAt, family, port);
    return bind(fd, this.memory.address(this.#sockaddrAt), length);
  }

  connect(fd: number, { family, sockaddr, sockaddrLength }: Target): number {
    setReceiveErrors(fd, family);
    this.memory.bytes.set(sockaddr, this.#sockaddrAt);
    return connect(fd, this.memory.address(this.#sockaddrAt), sockaddrLength);
  }

  haveSameSource(one: number, other: number): boolean {
    const source = this.#sourceOf(one);
    return Buffer.compare(source, this.#sourceOf(other)) === 0;
  }

  #sourceOf(fd: number): Uint8Array {
    const { bytes } = this.memory;
    localAddress(fd, this.memory.address(this.#sockaddrAt));
    const isIpv4 = bytes[this.#sockaddrAt] === AF_INET;
    const at = this.#sockaddrAt + (isIpv4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS);
    return bytes.slice(at, at + (isIpv4 ? 4 : 16));
  }
}
