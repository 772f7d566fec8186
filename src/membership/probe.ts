/**
 * One probe: a ping, then helpers and TCP, then a verdict [SWIM §3.1, LIFEGUARD §IV-A]. It only keeps times and counts;
 * its driver sends.
 */
import type { Profile } from "./profile.ts";

/**
 * Deviates from memberlist, which has one timeout for all: a member that is far away needs more.
 * A direct ping gets `helpAfterMs`, and its answer is waited for at least `answerWithinMs`.
 */
export interface ProbeTimeout {
  readonly helpAfterMs: number;
  readonly answerWithinMs: number;
}

export class Probe {
  readonly #endsMs: number;
  readonly #helpAtMs: number;
  #hasAskedForHelp = false;
  #nacksExpected = 0;
  #nacks = 0;
  #isStreamAnswered = false;
  #isAcked = false;

  constructor(
    profile: Profile,
    readonly target: string,
    readonly seq: number,
    readonly startedMs: number,
    /** This node's health score stretches the interval, not the timeout, as memberlist does. */
    score: number,
    timeout: ProbeTimeout,
  ) {
    this.#helpAtMs = startedMs + timeout.helpAfterMs;
    const forHelpMs = profile.probeIntervalMs * (score + 1) - profile.probeTimeoutMs;
    this.#endsMs = startedMs + timeout.answerWithinMs + forHelpMs;
  }

  get endsMs(): number {
    return this.#endsMs;
  }

  get nextDeadlineMs(): number {
    return this.#hasAskedForHelp ? this.#endsMs : this.#helpAtMs;
  }

  /** No helper has been asked: an ack has come the straight way. */
  get isDirect(): boolean {
    return !this.#hasAskedForHelp;
  }

  /** The direct ping has had its time. Once. */
  needsHelp(nowMs: number): boolean {
    return !this.#isAcked && !this.#hasAskedForHelp && nowMs >= this.#helpAtMs;
  }

  /** @param nacksExpected of the helpers asked */
  askedForHelp(nacksExpected: number): void {
    this.#hasAskedForHelp = true;
    this.#nacksExpected = nacksExpected;
  }

  onAck(): void {
    this.#isAcked = true;
  }

  onNack(): void {
    this.#nacks++;
  }

  onStreamAnswer(): void {
    this.#isStreamAnswered = true;
  }

  /** UDP found the target, TCP alone did, nothing did; null: not yet known. */
  verdict(nowMs: number): "alive" | "udp-broken" | "failed" | null {
    if (this.#isAcked) return "alive";
    if (nowMs < this.#endsMs) return null;
    return this.#isStreamAnswered ? "udp-broken" : "failed";
  }

  /** How much worse this node looks for it: helpers that said nothing mean that it is the one cut off. */
  get healthCost(): number {
    return this.#nacksExpected === 0 ? 1 : Math.max(0, this.#nacksExpected - this.#nacks);
  }
}
