/**
 * How large the datagrams of a relay may be on the path to its other end. Datagrams larger than the interface's MTU are
 * fragmented by IP, so there is no limit as long as packets of that size arrive. Where they vanish silently, in a path
 * MTU black hole, the relay cuts datagrams itself, to the largest size that was answered.
 *
 * While large datagrams are sent there is a round of probes every second, which the other end answers: of the smallest
 * size, as the measure of the others, and of the one in use; of all sizes when that was not answered, and from time to
 * time for more. An end that does not answer probes, an earlier version's, is left alone. No sockets; sizes are bytes of
 * UDP payloads.
 */

/** Of IP packets: what is common in networks, down to what nearly every path carries. */
const PACKET_SIZES: readonly number[] = [8900, 1492, 1450, 1400, 1280, 1200];
const LARGEST_PACKET = 9000;
/** Rounds without an answer to the size in use, but one to the smallest, after which it is given up. */
const MISSES = 2;
const RAISE_ROUNDS = 60;
const ROUND_MS = 950;
/** After the last large datagram: until a black hole would be found. */
const ROUNDS_AFTER_USE = 5;
const NO_SIZES: readonly number[] = [];
const ETHERNET_PACKET = 1500;
/** One that is larger is not cut. */
export const UNLIMITED = 0x7fffffff;

export class PathMtu {
  /** The longest datagram that is sent in one piece. */
  maxBytes = UNLIMITED;
  /** One of more than `baseBytes` has been sent. */
  isUsed = false;
  /** Every path carries that. */
  readonly baseBytes: number;
  readonly #overheadBytes: number;
  #topBytes: number;
  readonly #asked = new Set<number>();
  readonly #answered = new Set<number>();
  #misses = 0;
  #rounds = 0;
  #roundsLeft = 0;
  #roundMs = Number.NEGATIVE_INFINITY;

  /** @param overheadBytes of IP and UDP headers  @param mtuBytes of the interface, where that is larger than Ethernet's */
  constructor(overheadBytes: number, mtuBytes = ETHERNET_PACKET) {
    this.#overheadBytes = overheadBytes;
    this.baseBytes = PACKET_SIZES.at(-1)! - overheadBytes;
    this.#topBytes = Math.min(Math.max(mtuBytes, ETHERNET_PACKET), LARGEST_PACKET) - overheadBytes;
  }

  /** What to probe now, when a round is over and the next one begins; to be called often. */
  poll(nowMs: number): readonly number[] {
    if (this.isUsed) this.#roundsLeft = ROUNDS_AFTER_USE;
    if (this.#roundsLeft === 0 || nowMs - this.#roundMs < ROUND_MS) return NO_SIZES;
    this.isUsed = false;
    this.#roundsLeft--;
    this.#roundMs = nowMs;
    this.#judge();
    this.#asked.clear();
    this.#answered.clear();
    const inUse = Math.min(this.maxBytes, this.#topBytes);
    const isRaise = this.maxBytes !== UNLIMITED && ++this.#rounds % RAISE_ROUNDS === 0;
    const sizes = this.#misses > 0 || isRaise ? this.#sizes() : [this.baseBytes, inUse];
    for (const size of sizes) this.#asked.add(size);
    return [...this.#asked];
  }

  /** The other end probes that size: its interface takes it, so this one's may. */
  onAsked(size: number): void {
    this.#topBytes = Math.max(this.#topBytes, Math.min(size, LARGEST_PACKET - this.#overheadBytes));
  }

  onAnswered(size: number): void {
    if (this.#asked.has(size)) this.#answered.add(size);
  }

  #sizes(): number[] {
    const common = PACKET_SIZES.map((size) => size - this.#overheadBytes);
    return [...common.filter((size) => size < this.#topBytes), this.#topBytes].sort((a, b) => a - b);
  }

  #judge(): void {
    if (!this.#answered.has(this.baseBytes)) return;
    const largest = Math.max(...this.#answered);
    const isProved = largest >= Math.min(this.maxBytes, this.#topBytes);
    this.#misses = isProved ? 0 : this.#misses + 1;
    if (!isProved && this.#misses < MISSES) return;
    if (largest >= this.#topBytes) this.maxBytes = UNLIMITED;
    else if (isProved) this.maxBytes = Math.max(this.maxBytes, largest);
    else this.maxBytes = largest;
    this.#misses = 0;
  }
}
