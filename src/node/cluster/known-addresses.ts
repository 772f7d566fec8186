/**
 * Where members are or were, by name, to rejoin them. Bounded; the one not heard of for longest is evicted first, those that
 * never answered before those that did: invented names must not evict real ones.
 */
import type { GossipAddress } from "../../config/index.ts";
import { formatHostPort, parseIp } from "../../wire/index.ts";

const MAX_KNOWN = 1_000;

export class KnownAddresses {
  readonly #byName = new Map<string, GossipAddress>();
  /** Names that have answered this node; bounded by those known. */
  readonly #proven = new Set<string>();

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  add(name: string, address: GossipAddress): void {
    this.#byName.delete(name);
    this.#byName.set(name, address);
    if (this.#byName.size > MAX_KNOWN) this.delete(this.#mostDispensable(name));
  }

  /** It has answered. */
  prove(name: string): void {
    if (this.#byName.has(name)) this.#proven.add(name);
  }

  delete(name: string): void {
    this.#byName.delete(name);
    this.#proven.delete(name);
  }

  /** Where all others have answered, the newest: it can still prove itself. */
  #mostDispensable(newest: string): string {
    for (const name of this.#byName.keys()) if (!this.#proven.has(name) && name !== newest) return name;
    return this.#proven.has(newest) ? this.#byName.keys().next().value! : newest;
  }

  /** Those that are none of these, as "host:port". */
  without(addresses: ReadonlySet<string>): GossipAddress[] {
    return [...this.#byName.values()].filter(
      (address) => !addresses.has(formatHostPort(address.host, address.port)),
    );
  }

  /** For the state file. */
  toJson(): Record<string, GossipAddress> {
    return Object.fromEntries(this.#byName);
  }

  /** What an earlier run has kept; anything may stand there. */
  restore(kept: unknown): void {
    if (typeof kept !== "object" || kept === null) return;
    for (const [name, value] of Object.entries(kept)) {
      const { host, port } = (value ?? {}) as Partial<GossipAddress>;
      if (typeof host === "string" && parseIp(host) !== null && isPort(port)) this.add(name, { host, port });
    }
  }
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65_535;
}
