/**
 * The sockets that another process of this node can go on with, by key (sys/inherited-sockets.ts): a successor gets them in
 * a handover, and the service manager keeps them for the next start.
 */
import type { InheritedSockets } from "../sys/inherited-sockets.ts";

export type Sockets = readonly (readonly [key: string, fd: number])[];

/** The parts that have sockets. */
export type SocketOwner = "admin" | "gossip" | "echoes" | "proxy";

export class SocketList {
  readonly #owned: Record<SocketOwner, Sockets> = { admin: [], gossip: [], echoes: [], proxy: [] };

  constructor(
    /** Of another process, for the parts to begin with. */
    readonly inherited: InheritedSockets,
    readonly onChange: (all: Sockets) => void,
  ) {}

  get all(): Sockets {
    return Object.values(this.#owned).flat();
  }

  /** These are open now, and no others. A negative descriptor: of a test, without a socket. */
  set(owner: SocketOwner, sockets: Sockets): void {
    this.#owned[owner] = sockets.filter(([, fd]) => fd >= 0);
    this.onChange(this.all);
  }
}
