/**
 * The machine's addresses, read again every two seconds, but only while something depends on them: a service binds
 * by interface or prefix, a task has a published port, a UDP port is published, or other nodes have to know them. Polling costs one netlink dump and
 * misses nothing.
 */
import type { Clock } from "../sys/clock.ts";
import type { LocalNetwork } from "../sys/local-addresses.ts";

const POLL_MS = 2_000;

export interface InterfaceWatchOptions {
  readonly read: () => LocalNetwork;
  readonly clock: Clock;
  readonly onChange: (network: LocalNetwork) => void;
}

export class InterfaceWatch {
  readonly #options: InterfaceWatchOptions;
  /** null: not watched. */
  #network: LocalNetwork | null = null;
  #cancelTimer: () => void = () => undefined;

  constructor(options: InterfaceWatchOptions) {
    this.#options = options;
  }

  /** As of the last poll; read afresh while polling is off. */
  get network(): LocalNetwork {
    return this.#network ?? this.#options.read();
  }

  setActive(isActive: boolean): void {
    if (isActive === (this.#network !== null)) return;
    this.#cancelTimer();
    this.#network = isActive ? this.#options.read() : null;
    if (isActive) this.#arm();
  }

  #arm(): void {
    this.#cancelTimer = this.#options.clock.after(POLL_MS, () => this.#poll());
  }

  #poll(): void {
    const now = this.#options.read();
    const hasChanged = !Bun.deepEquals(now, this.#network);
    this.#network = now;
    this.#arm();
    if (hasChanged) this.#options.onChange(now);
  }
}
