/**
 * A path in virtual time that a PathProbe probes: packets take time, get lost, and vanish without a word when they are
 * too large, as where ICMP is filtered.
 */
import { PathProbe } from "../../../src/overlay/path/path-probe.ts";
import { EventHeap } from "../time/event-heap.ts";

export interface SimulatedPathOptions {
  /** Of the path; may be changed any time. */
  readonly mtu: number;
  readonly localMtu: number;
  /** 0…1, of each direction. */
  readonly loss?: number;
  readonly rttMs?: number;
  /** Up to so much more, each way. */
  readonly jitterMs?: number;
  readonly random: () => number;
}

export class SimulatedPath {
  readonly probe: PathProbe;
  nowMs = 1_000_000;
  mtu: number;
  localMtu: number;
  loss: number;
  rttMs: number;
  isActive = true;
  isCut = false;
  /** For how long at most, without a break, the path was thought to be wider than it was. */
  longestTooWideMs = 0;
  #tooWideSinceMs: number | null = null;
  /** Of every probe, in order. */
  readonly sent: { readonly atMs: number; readonly size: number }[] = [];
  readonly #jitterMs: number;
  readonly #random: () => number;
  readonly #events = new EventHeap();

  constructor({ mtu, localMtu, loss = 0, rttMs = 2, jitterMs = 0, random }: SimulatedPathOptions) {
    this.probe = new PathProbe({ localMtu, overheadBytes: 50, random });
    this.mtu = mtu;
    this.localMtu = localMtu;
    this.loss = loss;
    this.rttMs = rttMs;
    this.#jitterMs = jitterMs;
    this.#random = random;
  }

  setLocalMtu(mtu: number): void {
    this.localMtu = mtu;
    this.probe.onLocalMtu(mtu, this.nowMs);
  }

  /** Lets time pass; true as soon as `isReached` holds. */
  run(durationMs: number, isReached: () => boolean = () => false): boolean {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      this.#pollAll();
      if (isReached()) return true;
      const nextMs = Math.min(this.#events.nextMs, Math.max(this.probe.nextPollMs, this.nowMs + 0.01));
      if (nextMs > endMs) break;
      this.nowMs = nextMs;
      this.#compare();
      if (this.#events.nextMs <= this.nowMs) this.#events.take()();
    }
    this.nowMs = endMs;
    return false;
  }

  /** The most probes within any `windowMs`. */
  peak(windowMs: number): number {
    let [first, most] = [0, 0];
    this.sent.forEach(({ atMs }, index) => {
      while (this.sent[first]!.atMs <= atMs - windowMs) first++;
      most = Math.max(most, index - first + 1);
    });
    return most;
  }

  #compare(): void {
    if (this.probe.mtu <= this.mtu) this.#tooWideSinceMs = null;
    else {
      this.#tooWideSinceMs ??= this.nowMs;
      this.longestTooWideMs = Math.max(this.longestTooWideMs, this.nowMs - this.#tooWideSinceMs);
    }
  }

  #pollAll(): void {
    for (;;) {
      const probe = this.probe.poll(this.nowMs, this.isActive);
      if (probe === null) return;
      this.sent.push({ atMs: this.nowMs, size: probe.size });
      if (probe.size > this.localMtu) this.probe.onTooBig(probe.size, this.nowMs);
      else this.#carry(probe.id, probe.size);
    }
  }

  #carry(id: number, size: number): void {
    if (this.isCut || size > this.mtu || this.#isLost() || this.#isLost()) return;
    const delayMs = this.rttMs + 2 * this.#jitterMs * this.#random();
    this.#events.add(this.nowMs + delayMs, () => this.probe.onAck(id, size, this.nowMs));
  }

  #isLost(): boolean {
    return this.#random() < this.loss;
  }
}
