/**
 * Leaving in the order that serf needs: the intent, then the death in one's own name, then a while in which the member
 * still answers late probes. Each step ends when all members should have heard of it, or when its time is over.
 */

/** Time for each message of the goodbye to spread. */
const STEP_MS = 5_000;
/** A member that has left keeps answering this long, so that late probes do not declare it failed. */
const GRACE_MS = 1_000;

export interface LeavingHost {
  readonly hasOthers: () => boolean;
  /** Calls back when it has been sent often enough. */
  readonly announceIntent: (onSent: () => void) => void;
  readonly announceDeath: (nowMs: number, onSent: () => void) => void;
  readonly onDone: () => void;
}

export class Leaving {
  readonly #host: LeavingHost;
  #step: "not begun" | "intent" | "death" | "grace" | "done" = "not begun";
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(host: LeavingHost) {
    this.#host = host;
  }

  get hasBegun(): boolean {
    return this.#step !== "not begun";
  }

  /** When the next step is taken at the latest. */
  get nextDeadlineMs(): number {
    return this.#deadlineMs;
  }

  begin(nowMs: number): void {
    if (this.hasBegun) return;
    this.#step = "intent";
    this.#deadlineMs = nowMs + STEP_MS;
    this.#host.announceIntent(() => this.#hurry());
    if (!this.#host.hasOthers()) this.#hurry();
  }

  tick(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    const hasOthers = this.#host.hasOthers();
    switch (this.#step) {
      case "intent":
        this.#step = "death";
        this.#deadlineMs = hasOthers ? nowMs + STEP_MS : nowMs;
        return this.#host.announceDeath(nowMs, () => this.#hurry());
      case "death":
        this.#step = "grace";
        this.#deadlineMs = hasOthers ? nowMs + GRACE_MS : nowMs;
        return;
      case "grace":
        this.#step = "done";
        this.#deadlineMs = Number.POSITIVE_INFINITY;
        this.#host.onDone();
    }
  }

  /** The next tick takes the next step. */
  #hurry(): void {
    if (this.#step === "intent" || this.#step === "death") this.#deadlineMs = Number.NEGATIVE_INFINITY;
  }
}
