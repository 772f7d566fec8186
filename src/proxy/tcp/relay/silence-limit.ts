/**
 * How long a heartbeat may go unanswered before the peer counts as unreachable: an RFC 6298 timeout. A later answer is a
 * sample if TCP had to retransmit, because then the path was slow. If it had not, a long path looks like a paused node:
 * the limit doubles until an answer arrives in time.
 */
import { RttEstimator, type TimeoutBounds } from "../../../sys/rtt-estimator.ts";

/** Together with the interval well below a second; before the first answer long enough for a second SYN. */
const LAN: TimeoutBounds = { firstMs: 1_500, floorMs: 500, ceilingMs: 3_000, marginMs: 200 };
/** For distant nodes: a connection and its first beat take four round trips. */
const WAN: TimeoutBounds = { firstMs: 6_000, floorMs: 2_000, ceilingMs: 8_000, marginMs: 500 };

export class SilenceLimit {
  readonly #rtt: RttEstimator;

  constructor(isWan: boolean) {
    this.#rtt = new RttEstimator(isWan ? WAN : LAN);
  }

  get ms(): number {
    return this.#rtt.timeoutMs;
  }

  /** A connection is established. @param roundTripMs as measured by TCP; 0: not measured */
  onConnected(roundTripMs: number, nowMs: number): void {
    if (roundTripMs > 0 && this.#rtt.smoothedMs === null) this.#rtt.add(roundTripMs, nowMs);
  }

  /** @param isResent TCP has retransmitted meanwhile */
  onBeat(rttMs: number, isResent: boolean, nowMs: number): void {
    if (rttMs < this.ms) this.#rtt.add(rttMs, nowMs);
    else if (isResent) this.#rtt.add(Math.min(rttMs, this.#rtt.bounds.ceilingMs), nowMs);
    else this.#rtt.backOff();
  }

  /** A connection is closed for lack of an answer. */
  onSilence(): void {
    this.#rtt.backOff();
  }
}
