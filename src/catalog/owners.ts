/**
 * Which nodes are alive, since when the others are not, and whom we have forgotten. Records of a dead node are hidden
 * from readers at once, come back with it, and are forgotten after a day or when somebody wishes so. What was
 * forgotten is not learned again from nodes that have not forgotten yet.
 */
import { DEAD_OWNER_LIFE_MS, MAX_OWNERS } from "./limits.ts";

interface Forgotten {
  /** Whatever it wrote up to here is gone. */
  readonly counter: number;
  readonly untilMs: number;
}

export class Owners {
  readonly #self: string;
  #live: ReadonlySet<string> = new Set();
  /** Steady times. Holds owners with rows only: bounded by MAX_OWNERS. */
  readonly #deadSinceMs = new Map<string, number>();
  /** In order of forgetting; the first ones make room at MAX_OWNERS. */
  readonly #forgotten = new Map<string, Forgotten>();

  constructor(self: string) {
    this.#self = self;
  }

  isLive(owner: string): boolean {
    return owner === this.#self || this.#live.has(owner);
  }

  /** The owners among `withRows` that have died or come alive with this. */
  setLive(names: Iterable<string>, withRows: Iterable<string>, steadyMs: number): string[] {
    const before = this.#live;
    this.#live = new Set(names);
    const changed = [...withRows].filter(
      (owner) => owner !== this.#self && before.has(owner) !== this.#live.has(owner),
    );
    for (const name of this.#live) {
      this.#deadSinceMs.delete(name);
      this.#forgotten.delete(name);
    }
    for (const owner of changed) if (!this.#live.has(owner)) this.#deadSinceMs.set(owner, steadyMs);
    return changed;
  }

  get live(): ReadonlySet<string> {
    return this.#live;
  }

  /** Rows of it have come; if it is dead its day begins, unless it has begun already. */
  noticeRows(owner: string, steadyMs: number): void {
    if (!this.isLive(owner) && !this.#deadSinceMs.has(owner)) this.#deadSinceMs.set(owner, steadyMs);
  }

  /** Another node says that the owner has been dead for so long. Believed of dead ones only, and up to a day. */
  noticeDeadFor(owner: string, deadForMs: number, steadyMs: number): void {
    if (this.isLive(owner)) return;
    if (this.#deadSinceMs.size >= MAX_OWNERS && !this.#deadSinceMs.has(owner)) return;
    const sinceMs = steadyMs - Math.min(deadForMs, DEAD_OWNER_LIFE_MS);
    this.#deadSinceMs.set(owner, Math.min(sinceMs, this.#deadSinceMs.get(owner) ?? steadyMs));
  }

  /** 0 for the living. */
  deadForMs(owner: string, steadyMs: number): number {
    return steadyMs - (this.#deadSinceMs.get(owner) ?? steadyMs);
  }

  /** Owners dead for more than a day. */
  expired(steadyMs: number): string[] {
    return [...this.#deadSinceMs.keys()].filter(
      (owner) => this.deadForMs(owner, steadyMs) >= DEAD_OWNER_LIFE_MS,
    );
  }

  forget(owner: string, counter: number, steadyMs: number): void {
    this.#deadSinceMs.delete(owner);
    this.#forgotten.delete(owner);
    this.#forgotten.set(owner, { counter, untilMs: steadyMs + DEAD_OWNER_LIFE_MS });
    const [oldest] = this.#forgotten.keys();
    if (this.#forgotten.size > MAX_OWNERS && oldest !== undefined) this.#forgotten.delete(oldest);
  }

  /** The counter up to which a dead owner's records are forgotten; 0: none are. */
  forgottenCounter(owner: string, steadyMs: number): number {
    const forgotten = this.#forgotten.get(owner);
    if (forgotten === undefined) return 0;
    if (forgotten.untilMs > steadyMs) return forgotten.counter;
    this.#forgotten.delete(owner);
    return 0;
  }
}
