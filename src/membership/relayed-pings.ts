/**
 * Pings sent for others: the ack goes back under the asker's number, or a nack says that this node is well and the target
 * silent. The nack leaves early enough for the asker to still be listening [LIFEGUARD §IV-A]; memberlist's own comes
 * too late. Bounded by MAX_OPEN: more at once is an attack.
 */
import type { Address } from "./address.ts";

const MAX_OPEN = 1_024;
const NACK_SHARE = 0.8;

export interface RelayedPing {
  /** Our number. */
  readonly seq: number;
  readonly asker: Address;
  readonly askerSeq: number;
  readonly nackAtMs: number;
  readonly endsMs: number;
  wantsNack: boolean;
}

export class RelayedPings {
  /** By our number, oldest first. */
  readonly #open = new Map<number, RelayedPing>();

  get nextDeadlineMs(): number {
    for (const ping of this.#open.values()) return ping.wantsNack ? ping.nackAtMs : ping.endsMs;
    return Number.POSITIVE_INFINITY;
  }

  /** False when there are too many. */
  add(
    seq: number,
    asker: Address,
    askerSeq: number,
    wantsNack: boolean,
    nowMs: number,
    timeoutMs: number,
  ): boolean {
    if (this.#open.size >= MAX_OPEN) return false;
    const times = { nackAtMs: nowMs + NACK_SHARE * timeoutMs, endsMs: nowMs + timeoutMs };
    this.#open.set(seq, { seq, asker, askerSeq, wantsNack, ...times });
    return true;
  }

  onAck(seq: number): RelayedPing | null {
    const ping = this.#open.get(seq);
    if (ping === undefined) return null;
    this.#open.delete(seq);
    return ping;
  }

  /** Those whose nack is due; forgets the expired ones. */
  due(nowMs: number): RelayedPing[] {
    const due: RelayedPing[] = [];
    for (const ping of this.#open.values()) {
      if (ping.nackAtMs > nowMs) break;
      if (ping.wantsNack) due.push(ping);
      ping.wantsNack = false;
      if (ping.endsMs <= nowMs) this.#open.delete(ping.seq);
    }
    return due;
  }
}
