/**
 * One search for the largest packet that a path carries [RFC 8899 §5.3.2]: which sizes to try next, from which were
 * answered. Several sizes fly at once, first those that are common in networks, then evenly spaced ones, so a common
 * size is found in one round trip. Only answers prove anything for a size; MAX_PROBES losses speak against it.
 *
 *     works            low      candidates         high       does not, or is beyond the limit
 *     ─────────────────●────┬────┬────┬────┬────┬────○─────────────────
 *
 * Invariant: low < high; the search is over when nothing is between them.
 */

/** [RFC 8899 §5.1.2] */
export const MAX_PROBES = 3;
/** Ethernet, PPPoE, tunnels in one another, IPv6's least, jumbo frames and what clouds make of them. */
const KNOWN_SIZES: readonly number[] = [
  1280, 1400, 1420, 1450, 1460, 1480, 1492, 1500, 8500, 8900, 8951, 9000, 9001,
];
/** Sizes in one flight when no known one is left. */
const SPREAD = 8;
/** Sizes that fly again after a first flight. */
const AGAIN = 2;

export class MtuSearch {
  /** Not yet decided, ascending; bounded by KNOWN_SIZES or SPREAD and two. */
  #candidates: { readonly size: number; losses: number }[] = [];
  #isFirstFlight = true;

  /** @param low known to work  @param high known not to, or the first size not allowed; > low */
  constructor(
    public low: number,
    public high: number,
  ) {}

  get isOver(): boolean {
    return this.low + 1 >= this.high;
  }

  /** The sizes to send now, ascending; the caller reports the fate of each before the next call. Empty: the search is over. */
  flight(): number[] {
    if (this.isOver) return [];
    if (this.#candidates.length === 0) {
      this.#candidates = sizesBetween(this.low, this.high).map((size) => ({ size, losses: 0 }));
      this.#isFirstFlight = true;
    }
    const flying = this.#isFirstFlight ? this.#candidates : this.#candidates.slice(0, AGAIN);
    this.#isFirstFlight = false;
    return flying.map(({ size }) => size);
  }

  /** Also of sizes tried long ago: what has arrived fits, whatever was thought. */
  onAcked(size: number): void {
    this.low = Math.max(this.low, size);
    this.high = Math.max(this.high, size + 1);
    this.#forgetDecided();
  }

  /** A packet of that size was lost where a smaller one sent with it was not. */
  onLost(size: number): void {
    const candidate = this.#candidates.find((other) => other.size === size);
    if (candidate !== undefined && ++candidate.losses >= MAX_PROBES) this.onTooBig(size);
  }

  onTooBig(size: number): void {
    this.high = Math.min(this.high, Math.max(size, this.low + 1));
    this.#forgetDecided();
  }

  #forgetDecided(): void {
    this.#candidates = this.#candidates.filter(({ size }) => size > this.low && size < this.high);
  }
}

/** The next above `low` ends the search if it fails, the last below `high` if it does not. */
function sizesBetween(low: number, high: number): number[] {
  const known = KNOWN_SIZES.filter((size) => size > low && size < high);
  const step = (high - low) / (SPREAD + 1);
  const spread = Array.from({ length: SPREAD }, (_, index) => low + Math.round(step * (index + 1)));
  const sizes = new Set([low + 1, ...(known.length > 0 ? known : spread), high - 1]);
  return [...sizes].filter((size) => size > low && size < high).sort((a, b) => a - b);
}
