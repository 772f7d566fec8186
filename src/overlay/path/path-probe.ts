/**
 * The path to one node: how large its packets may be, how long they take, how many get lost. Datagram packetization
 * layer path MTU discovery, RFC 8899, without ICMP: a size is used once a probe of it has been answered, and is given
 * up when probes of it vanish while small ones do not. Sizes are bytes of underlay packets with their IP header.
 *
 *     BASE ──answered──▶ SEARCHING ──nothing left to try──▶ SEARCH_COMPLETE ──raise timer, larger local MTU──▶ SEARCHING
 *      ▲ ▲ unanswered        │                                   │ │
 *      ▼ └──── ERROR ◀───────┴──────nothing answered for long────┘ └──black hole: mtu = base──▶ SEARCHING
 *
 * No clock, no sockets: the driver sends what `poll` returns, reports the replies, and polls again at
 * `nextPollMs`, which every call may change. A peer in use costs a probe a second and 8 a minute; one that is not costs
 * 1/30 + 8/600 a second, so 200 of them 10 small and large packets a second together.
 */
import { RttEstimator, type TimeoutBounds } from "../../sys/rtt-estimator.ts";
import { Flight } from "./flight.ts";
import { LossEstimator } from "./loss-estimator.ts";
import { MtuSearch } from "./mtu-search.ts";
import { PathSchedule } from "./path-schedule.ts";
import { SentProbes } from "./sent-probes.ts";

/** BASE_PLPMTU [RFC 8899 §5.1.2] */
export const BASE_MTU = 1200;
const MAX_IP_PACKET = 65_535;

const BASE_PROBES = 3;
/**
 * Losses of the size in use: one, then all of these beside answers to small ones. 5 % loss in each direction does that
 * once in 100,000 times.
 */
const DOUBTING_FLIGHTS = 2;
const DOUBTING_COPIES = 2;
/** So often nothing has been heard, for a second at least: another way is better, if there is one. */
const QUIET_FLIGHTS = 4;
/** After this long without a reply, and this many flights, the node itself is gone: sizes do not matter. */
const SILENT_MS = 5000;
const SILENT_FLIGHTS = 5;
const SILENT_RETRY_MS = 1000;
/** A thread of this program may be busy for a while; RFC 6298's second would make a search needlessly slow. */
const PROBE_TIMEOUT: TimeoutBounds = { firstMs: 300, floorMs: 100, ceilingMs: 2000, marginMs: 0 };

export type PathState = "base" | "searching" | "search-complete" | "error";

export interface PathProbeOptions {
  /** MTU of the interface that the way to the node begins with. */
  readonly localMtu: number;
  /** Of an underlay packet, what does not carry the inner one (overhead.ts); only for `innerMtu`. */
  readonly overheadBytes: number;
  /** 0 ≤ x < 1 */
  readonly random: () => number;
}

export interface Probe {
  /** 31 bits; the answer has to bring it back. */
  readonly id: number;
  /** Of the underlay packet, with the IP header; must leave unfragmented. */
  readonly size: number;
}

export class PathProbe {
  readonly #overheadBytes: number;
  readonly #rtt = new RttEstimator(PROBE_TIMEOUT);
  readonly #losses = new LossEstimator();
  readonly #sent: SentProbes;
  readonly #schedule: PathSchedule;
  #localMtu: number;
  #mtu: number;
  #state: PathState = "base";
  #search: MtuSearch | null = null;
  #flight: Flight | null = null;
  /** Flights in a row of which nothing was heard, and when the first of them ended. */
  #silentFlights = 0;
  #silentSinceMs = 0;
  #isSilent = false;
  /** The size in use was not answered; and of how many flights since then only the base size was. */
  #isInDoubt = false;
  #doubts = 0;

  constructor({ localMtu, overheadBytes, random }: PathProbeOptions) {
    this.#overheadBytes = overheadBytes;
    this.#schedule = new PathSchedule(random);
    this.#localMtu = Math.min(localMtu, MAX_IP_PACKET);
    this.#mtu = this.#base;
    this.#sent = new SentProbes(Math.floor(random() * 2 ** 31));
  }

  get state(): PathState {
    return this.#state;
  }

  /** The largest underlay packet known to arrive; the base size as long as nothing is known. */
  get mtu(): number {
    return this.#mtu;
  }

  get innerMtu(): number {
    return this.#mtu - this.#overheadBytes;
  }

  /** Smoothed; null before the first answer. */
  get rttMs(): number | null {
    return this.#rtt.smoothedMs;
  }

  /** The shortest of the last minutes; null before the first answer. */
  get minRttMs(): number | null {
    return this.#rtt.minimumMs;
  }

  /** Something has come back, and lately nothing has spoken against it. A moment of silence does, though it may pass. */
  get isUp(): boolean {
    return !this.#isAtBase && !this.#isSilent;
  }

  /** 0…1, of probes and of the data given to `countData`, mostly of the last half minute; null: too little is known. */
  get loss(): number | null {
    return this.#losses.fraction;
  }

  /** When `poll` has something to do at the latest, as things stand; in the past: now. */
  get nextPollMs(): number {
    if (this.#flight !== null) return this.#flight.nextMs;
    return this.#dueMs;
  }

  /**
   * The probe to send now; to be called until there is none.
   * @param isActive packets have lately been sent to the peer, so it matters what its path is like
   */
  poll(nowMs: number, isActive: boolean): Probe | null {
    this.#schedule.setActive(isActive, nowMs);
    if (this.#flight?.isOver(nowMs)) this.#endFlight(this.#flight, nowMs);
    if (this.#flight === null && nowMs >= this.#dueMs) this.#startFlight(nowMs);
    const flight = this.#flight;
    const size = flight?.send(nowMs, this.#timeoutMs) ?? null;
    if (flight === null || size === null) return null;
    this.#schedule.onSent(nowMs);
    return { id: this.#sent.add({ size, sentMs: nowMs, flight }), size };
  }

  /** The peer has answered; `size` is that of the probe. Unknown ids and wrong sizes are ignored: false. */
  onAck(id: number, size: number, nowMs: number): boolean {
    const probe = this.#sent.take(id, size);
    if (probe === null) return false;
    this.#rtt.add(nowMs - probe.sentMs, nowMs);
    this.#silentFlights = 0;
    this.#isSilent = false;
    const isFirst = !probe.flight.hasAnswered(size);
    probe.flight.onAcked(size);
    if (probe.flight.isTallied && isFirst && size <= probe.flight.goodSize) this.#losses.count(0, -1, nowMs);
    if (probe.flight !== this.#flight && this.#isAtBase)
      this.#startSearch(this.#base, this.#localMtu + 1, nowMs);
    else if (size <= this.#localMtu && !this.#isAtBase) this.#onWorks(size);
    this.#goOn(nowMs);
    return true;
  }

  /**
   * This machine refused to send a packet of that size (EMSGSIZE). Not for ICMP, which can be forged: a path that
   * drops is found by probing.
   */
  onTooBig(size: number, nowMs: number): void {
    this.#flight?.withdraw(size);
    if (this.#isAtBase) return;
    if (size > this.#mtu) this.#search?.onTooBig(size);
    else this.#startSearch(this.#base, size, nowMs);
    this.#goOn(nowMs);
  }

  /** The interface's MTU has changed, or the path begins with another interface. */
  onLocalMtu(mtu: number, nowMs: number): void {
    const before = this.#localMtu;
    this.#localMtu = Math.min(mtu, MAX_IP_PACKET);
    if (this.#localMtu === before) return;
    if (this.#isAtBase) this.#mtu = this.#base;
    else if (before < BASE_MTU && before < this.#localMtu) this.#begin("base", this.#base, null, nowMs);
    else if (this.#localMtu > before && this.#state === "search-complete") this.#schedule.raiseAt(nowMs);
    else {
      this.#startSearch(Math.min(this.#mtu, this.#localMtu), this.#localMtu + 1, nowMs);
      this.#schedule.flyAt(nowMs);
    }
  }

  /** What the data path has seen of its own packets to or from the peer. */
  countData(sent: number, lost: number, nowMs: number): void {
    this.#losses.count(sent, lost, nowMs);
  }

  /** Large packets seem to vanish: the size in use is confirmed at once, not at its time. */
  suspect(nowMs: number): void {
    if (this.#state === "search-complete" && this.#flight === null) this.#schedule.flyAt(nowMs);
  }

  /** The peer has been heard of by other means, so it is there: a path that seems dead is tried now. */
  onHeard(nowMs: number): void {
    if (this.#isAtBase && this.#flight === null) this.#schedule.hurry(nowMs);
  }

  get #base(): number {
    return Math.min(BASE_MTU, this.#localMtu);
  }

  get #isAtBase(): boolean {
    return this.#state === "base" || this.#state === "error";
  }

  get #timeoutMs(): number {
    return this.#rtt.timeoutMs;
  }

  get #mayRaise(): boolean {
    return this.#state === "search-complete" && !this.#isInDoubt && this.#mtu < this.#localMtu;
  }

  get #dueMs(): number {
    const { flightMs, raiseMs } = this.#schedule;
    return this.#mayRaise ? Math.min(flightMs, raiseMs) : flightMs;
  }

  #startFlight(nowMs: number): void {
    const copies = this.#isInDoubt ? DOUBTING_COPIES : 1;
    this.#flight = new Flight(this.#sizesToTry(nowMs), this.#mtu, copies);
  }

  /** A size known to fit goes first, as the measure of the others. */
  #sizesToTry(nowMs: number): number[] {
    if (this.#isAtBase) return [this.#base];
    if (this.#isInDoubt) return [this.#base, this.#mtu];
    if (this.#mayRaise && nowMs >= this.#schedule.raiseMs)
      this.#startSearch(this.#mtu, this.#localMtu + 1, nowMs);
    return this.#search === null ? [this.#mtu] : [this.#search.low, ...this.#search.flight()];
  }

  #endFlight(flight: Flight, nowMs: number): void {
    this.#flight = null;
    const { answered, lost } = flight.tally();
    this.#losses.count(answered + lost, lost, nowMs);
    if (!flight.isAnswered) this.#onSilence(nowMs);
    else if (this.#isInDoubt || this.#state === "search-complete") this.#judgeConfirmation(flight, nowMs);
    else if (this.#search !== null) this.#judgeSearch(this.#search, flight, nowMs);
    else this.#startSearch(this.#base, this.#localMtu + 1, nowMs);
  }

  /** Of a flight nothing came back, not even what must fit. */
  #onSilence(nowMs: number): void {
    const silent = ++this.#silentFlights;
    if (silent === 1) this.#silentSinceMs = nowMs;
    const retryMs = this.#timeoutMs * 2 ** Math.min(silent - 1, 10);
    if (this.#isAtBase) {
      if (silent >= BASE_PROBES) this.#state = "error";
      this.#schedule.retryAfter(retryMs, nowMs);
      return;
    }
    this.#isInDoubt = true;
    this.#isSilent = silent >= QUIET_FLIGHTS;
    this.#schedule.flyAt(silent === 1 ? nowMs : nowMs + Math.min(retryMs, SILENT_RETRY_MS));
    if (silent < SILENT_FLIGHTS || nowMs - this.#silentSinceMs < SILENT_MS) return;
    this.#begin("error", this.#base, null, nowMs);
    this.#schedule.retryAfter(SILENT_RETRY_MS, nowMs);
  }

  #judgeSearch(search: MtuSearch, flight: Flight, nowMs: number): void {
    for (const size of flight.lost) search.onLost(size);
    if (search.isOver) this.#completeSearch(nowMs);
    else this.#schedule.flyAt(nowMs);
  }

  #judgeConfirmation(flight: Flight, nowMs: number): void {
    if (flight.hasAnswered(this.#mtu)) {
      this.#isInDoubt = false;
      this.#doubts = 0;
      if (this.#search === null) this.#schedule.confirmLater(nowMs);
      else this.#schedule.flyAt(nowMs);
      return;
    }
    this.#isInDoubt = true;
    this.#schedule.flyAt(nowMs);
    if (++this.#doubts < DOUBTING_FLIGHTS) return;
    const dropped = this.#doubts + 1;
    this.#losses.count(-dropped, -dropped, nowMs);
    this.#startSearch(this.#base, this.#mtu, nowMs);
  }

  #startSearch(low: number, high: number, nowMs: number): void {
    const search = new MtuSearch(low, Math.max(high, low + 1));
    this.#begin("searching", low, search, nowMs);
    if (search.isOver) this.#completeSearch(nowMs);
  }

  #begin(state: PathState, mtu: number, search: MtuSearch | null, nowMs: number): void {
    this.#state = state;
    this.#mtu = mtu;
    this.#search = search;
    this.#flight = null;
    this.#isInDoubt = false;
    this.#doubts = 0;
    this.#schedule.flyAt(nowMs);
  }

  /** An answered size works whatever was thought of it. */
  #onWorks(size: number): void {
    this.#search?.onAcked(size);
    if (size >= this.#mtu) {
      this.#isInDoubt = false;
      this.#doubts = 0;
    }
    this.#mtu = Math.max(this.#mtu, size);
  }

  /** After something has been heard or refused: a search or a flight may be over by that. */
  #goOn(nowMs: number): void {
    if (this.#search?.isOver) this.#completeSearch(nowMs);
    else if (this.#flight?.isOver(nowMs)) this.#endFlight(this.#flight, nowMs);
  }

  #completeSearch(nowMs: number): void {
    this.#search = null;
    this.#flight = null;
    this.#state = "search-complete";
    this.#schedule.confirmLater(nowMs);
    this.#schedule.raiseLater(nowMs);
  }
}
