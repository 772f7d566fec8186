/**
 * Sockets and other descriptors that this process was given by another one, by key: by its predecessor in a handover, or
 * by the service manager. Part of the start asks it first, and opens a socket of its own where there is none.
 *
 *   tcp:[::]:8080:0   protocol, address, port, index of the worker; also udp, relay-tcp, relay-udp
 *   gossip-udp:0.0.0.0:7946   also gossip-tcp, admin-tcp, and echo-udp at each overlay address
 */
import { close } from "./socket.ts";

export class InheritedSockets {
  readonly #fds: Map<string, number>;

  constructor(fds: Iterable<readonly [key: string, fd: number]> = []) {
    this.#fds = new Map(fds);
  }

  get size(): number {
    return this.#fds.size;
  }

  keys(): string[] {
    return [...this.#fds.keys()];
  }

  has(key: string): boolean {
    return this.#fds.has(key);
  }

  /** With one descriptor for each key. */
  addAll(keys: readonly string[], fds: readonly number[]): void {
    for (const [index, key] of keys.entries()) this.#fds.set(key, fds[index]!);
  }

  /** The descriptor, which the caller owns from now on; null: there is none of this key. */
  take(key: string): number | null {
    const fd = this.#fds.get(key);
    this.#fds.delete(key);
    return fd ?? null;
  }

  /** Those of an address that remain, by ascending number of the worker. */
  takeAll(prefix: string): number[] {
    const keys = this.keys().filter((key) => key.startsWith(`${prefix}:`));
    const indexOf = (key: string) => Number(key.slice(prefix.length + 1));
    return keys.sort((a, b) => indexOf(a) - indexOf(b)).map((key) => this.take(key)!);
  }

  /** Every one of a kind, with the rest of its key. */
  takeKind(kind: string): [rest: string, fd: number][] {
    const keys = this.keys().filter((key) => key.startsWith(`${kind}:`));
    return keys.map((key) => [key.slice(kind.length + 1), this.take(key)!]);
  }

  /** Closes what no part of the start has taken. */
  closeRest(): void {
    for (const fd of this.#fds.values()) close(fd);
    this.#fds.clear();
  }
}
