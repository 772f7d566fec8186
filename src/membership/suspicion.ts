/**
 * One suspicion: how long the suspect has to refute. Each new accuser shortens it, from patient (no other member confirms it,
 * so this node may be the slow one) to quick [LIFEGUARD §IV-B].
 */
import { expectedConfirmations, minSuspicionMs, suspicionTimeoutMs } from "./formulas.ts";
import type { Profile } from "./profile.ts";

export class Suspicion {
  readonly #startedMs: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #expected: number;
  /** The first accuser and those that count; bounded by the expected confirmations. */
  readonly #accusers: Set<string>;
  #deadlineMs: number;

  constructor(profile: Profile, members: number, firstAccuser: string, nowMs: number) {
    this.#startedMs = nowMs;
    this.#minMs = minSuspicionMs(profile, members);
    this.#maxMs = this.#minMs * profile.suspicionMaxTimeoutMult;
    this.#expected = expectedConfirmations(profile, members);
    this.#accusers = new Set([firstAccuser]);
    this.#deadlineMs = this.#computeDeadlineMs();
  }

  /** When the suspect is declared dead. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** Whether it is news: then the deadline has come nearer and others should hear of it. */
  confirm(accuser: string): boolean {
    if (this.#accusers.size - 1 >= this.#expected || this.#accusers.has(accuser)) return false;
    this.#accusers.add(accuser);
    this.#deadlineMs = this.#computeDeadlineMs();
    return true;
  }

  #computeDeadlineMs(): number {
    const confirmations = this.#accusers.size - 1;
    return this.#startedMs + suspicionTimeoutMs(this.#minMs, this.#maxMs, confirmations, this.#expected);
  }
}
