/**
 * How long a peer may owe the answer to a heartbeat before it counts as unreachable: an RFC 6298 timeout. A beat that
 * comes back later than that is a sample when TCP had to send it again, as it is the way that was slow then. When it had
 * not, nothing tells a long way from a node that was stopped: it doubles the limit until one comes back in time.
 */
import { RttEstimator, type TimeoutBounds } from "../../../sys/rtt-estimator.ts";

/** With the interval before the beat, well within a second; until the first answer, long enough for a second SYN. */
const LAN: TimeoutBounds = { firstMs: 1_500, floorMs: 500, ceilingMs: 3_000, marginMs: 200 };
/** Nodes that are far apart; a connection and the first beat take four round trips. */
const WAN: TimeoutBounds = { firstMs: 6_000, floorMs: 2_000, ceilingMs: 8_000, marginMs: 500 };

export class SilenceLimit {
  readonly #rtt: RttEstimator;

  constructor(isWan: boolean) {
    this.#rtt = new RttEstimator(isWan ? WAN : LAN);
  }

  get ms(): number {
    return this.#rtt.timeoutMs;
  }

  /** A connection has been made: TCP has measured its round trip. 0: it has not. */
  onConnected(roundTripMs: number, nowMs: number): void {
    if (roundTripMs > 0 && this.#rtt.smoothedMs === null) this.#rtt.add(roundTripMs, nowMs);
  }

  /** @param isResent TCP has sent something again meanwhile */
  onBeat(rttMs: number, isResent: boolean, nowMs: number): void {
    if (rttMs < this.ms) this.#rtt.add(rttMs, nowMs);
    else if (isResent) this.#rtt.add(Math.min(rttMs, this.#rtt.bounds.ceilingMs), nowMs);
    else this.#rtt.backOff();
  }

  /** A connection is given up without an answer. */
  onSilence(): void {
    this.#rtt.backOff();
  }
}
