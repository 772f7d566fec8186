/**
 * Processes that ran this node before and still drain, side by side: each reports over its channel until it ends. A
 * successor continues all channels, so that it shows them whichever of them ends first.
 */
import { decode, encode } from "@msgpack/msgpack";
import type { Clock } from "../../sys/clock.ts";
import { Channel } from "./channel.ts";
import type { Handed, HandoverPart } from "./handover-part.ts";
import type { Draining } from "./messages.ts";

export const PREDECESSORS_PART = "predecessors";

const LOOK_MS = 250;

export interface PredecessorStatus extends Draining {
  readonly pid: number;
}

interface Watched {
  status: PredecessorStatus;
  readonly channel: Channel;
}

export class Predecessors implements HandoverPart {
  readonly key = PREDECESSORS_PART;
  /** The newest first. Bounded by MAX_DRAINING of handover.ts. */
  #watched: Watched[] = [];
  #cancel: (() => void) | null = null;

  constructor(readonly clock: Clock) {}

  get status(): PredecessorStatus[] {
    return this.#watched.map(({ status }) => status);
  }

  /** Of a process that has handed over to this one. */
  add(status: PredecessorStatus, channel: Channel): void {
    this.#watched.unshift({ status, channel });
    this.#watch();
  }

  /** Of those that the predecessor knew. */
  continueWith({ bytes, fds }: Handed): void {
    const known = decode(bytes) as readonly PredecessorStatus[];
    const watched = known.map((status, i) => ({ status, channel: new Channel(fds[i] ?? -1, this.clock) }));
    this.#watched.push(...watched);
    this.#watch();
  }

  async freeze(): Promise<Handed | null> {
    this.#cancel?.();
    if (this.#watched.length === 0) return null;
    return { bytes: encode(this.status), fds: this.#watched.map(({ channel }) => channel.fd) };
  }

  async thaw(): Promise<void> {
    this.#watch();
  }

  async leave(): Promise<void> {
    this.close();
  }

  close(): void {
    this.#cancel?.();
    for (const { channel } of this.#watched) channel.close();
    this.#watched = [];
  }

  #watch(): void {
    this.#cancel?.();
    this.#watched = this.#watched.filter(stillDrains);
    this.#cancel = this.#watched.length === 0 ? null : this.clock.after(LOOK_MS, () => this.#watch());
  }
}

/** Takes what it has reported; false: it has ended. */
function stillDrains(watched: Watched): boolean {
  const { channel, status } = watched;
  try {
    for (let received = channel.look(); received !== null; received = channel.look()) {
      if (received.message.type !== "draining") continue;
      const { openConnections, leftMs } = received.message;
      watched.status = { pid: status.pid, openConnections, leftMs };
    }
    return true;
  } catch {
    channel.close();
    return false;
  }
}
