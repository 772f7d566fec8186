/**
 * Whether this node has to give up its name to another: the claim may be an echo of an earlier run, or a live node. A node
 * that has just started gives in; of two that have both run for long, the one with the greater address does.
 */
import type { Address } from "../../membership/index.ts";
import { type Clock, pause } from "../../sys/clock.ts";

/** A node that has just started ends by itself when its name is taken: the older one gives it this time. */
const GRACE_MS = 5_000;

export interface NameCheckOptions {
  readonly clock: Clock;
  /** Whether a node of this name answers there. */
  readonly isTaken: (other: Address) => Promise<boolean>;
  /** Whether this node has the greater address. */
  readonly yieldsTo: (other: Address) => boolean;
}

export class NameCheck {
  readonly #options: NameCheckOptions;
  #isRunning = false;

  constructor(options: NameCheckOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  async isLost(other: Address, hasJustStarted: boolean): Promise<boolean> {
    this.#isRunning = true;
    const isLost = await this.#isLost(other, hasJustStarted);
    this.#isRunning = false;
    return isLost;
  }

  async #isLost(other: Address, hasJustStarted: boolean): Promise<boolean> {
    const { clock, isTaken, yieldsTo } = this.#options;
    if (!(await isTaken(other))) return false;
    if (hasJustStarted) return true;
    if (!yieldsTo(other)) return false;
    await pause(clock, GRACE_MS);
    return await isTaken(other);
  }
}
