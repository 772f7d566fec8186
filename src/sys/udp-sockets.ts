/**
 * Whether another program of this network namespace takes datagrams, by the kernel's table of sockets: nothing is sent.
 *
 * An IPv6 socket at all addresses takes IPv4 as well unless it is set to IPv6 only, which the table does not show. This
 * process sets that on its own where a task has the IPv4 address, so its own sockets do not count.
 */
import { readFileSync } from "node:fs";
import { ownSocketInodes } from "./port-owner.ts";

const ANY_IPV4 = new Uint8Array(4);
const ANY_IPV6 = new Uint8Array(16);

/** By address and port, as the kernel writes them: the inodes of the sockets that take datagrams from anyone. */
type SocketTable = ReadonlyMap<string, readonly number[]>;

/** One reading of the table serves all questions until `expire`: with thousands of sockets it takes milliseconds. */
export class UdpSockets {
  #ipv4: SocketTable | null = null;
  #ipv6: SocketTable | null = null;
  /** By inode; bounded by the sockets there are between two calls of `forget`. */
  readonly #isOwn = new Map<number, boolean>();

  /** @param address of this host, 4 or 16 bytes in network order. false too where the table may not be read. */
  isBound(address: Uint8Array, port: number): boolean {
    const ipv6 = (this.#ipv6 ??= readSockets("/proc/thread-self/net/udp6"));
    const wildcard = ipv6.get(keyOf(ANY_IPV6, port)) ?? [];
    if (address.length === 16) return wildcard.length > 0 || ipv6.has(keyOf(address, port));
    const ipv4 = (this.#ipv4 ??= readSockets("/proc/thread-self/net/udp"));
    if (ipv4.has(keyOf(address, port)) || ipv4.has(keyOf(ANY_IPV4, port))) return true;
    return wildcard.some((inode) => !this.#isOwnSocket(inode));
  }

  /** The next question reads the table again. */
  expire(): void {
    this.#ipv4 = null;
    this.#ipv6 = null;
  }

  forget(): void {
    this.expire();
    this.#isOwn.clear();
  }

  #isOwnSocket(inode: number): boolean {
    const known = this.#isOwn.get(inode);
    if (known !== undefined) return known;
    for (const own of ownSocketInodes()) this.#isOwn.set(own, true);
    const isOwn = this.#isOwn.has(inode);
    this.#isOwn.set(inode, isOwn);
    return isOwn;
  }
}

/**
 * Sockets that are connected are left out: those have a remote port.
 * [proc(5), /proc/net/udp]: columns sl, local address:port, remote address:port in hexadecimal, …; the tenth is the inode.
 */
function readSockets(path: string): SocketTable {
  const sockets = new Map<string, number[]>();
  for (const row of readTable(path).split("\n")) {
    const fields = row.trim().split(/\s+/, 10);
    const [, local, remote] = fields;
    if (!remote?.endsWith(":0000")) continue;
    const inodes = sockets.get(local!);
    if (inodes === undefined) sockets.set(local!, [Number(fields[9])]);
    else inodes.push(Number(fields[9]));
  }
  return sockets;
}

/** Words of four bytes as the processor has them. */
function keyOf(address: Uint8Array, port: number): string {
  const words = new Uint32Array(address.slice().buffer);
  const hex = [...words].map((word) => word.toString(16).toUpperCase().padStart(8, "0")).join("");
  return `${hex}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
}

function readTable(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
