/**
 * Where nodes of the cluster listen for UDP clients. A datagram from there is a reply to a client with a forged source:
 * served, it would be answered, and two echo services would answer each other without end.
 *
 * Asked only before a session is opened. Built anew when the table says otherwise.
 */
import { type Endpoint, PrefixSet } from "../../wire/index.ts";
import type { UdpListeners } from "../table/routing-table.ts";

export class PublishedSources {
  /** By published port: where it is listened on. Bounded by the number of ports. */
  readonly #byPort = new Map<number, PrefixSet[]>();

  constructor(readonly listeners: readonly UdpListeners[]) {
    for (const { addresses, ports } of listeners) {
      const prefixes = PrefixSet.from(addresses);
      for (const port of ports) this.#add(port, prefixes);
    }
  }

  /** Allocates nothing: most ports are not published. */
  includes({ family, bytes, offset, port }: Endpoint): boolean {
    const places = this.#byPort.get(port);
    if (places === undefined) return false;
    for (let i = 0; i < places.length; i++) if (places[i]!.matches(family, bytes, offset)) return true;
    return false;
  }

  #add(port: number, prefixes: PrefixSet): void {
    const places = this.#byPort.get(port);
    if (places === undefined) this.#byPort.set(port, [prefixes]);
    else places.push(prefixes);
  }
}
