/**
 * Which nodes are alive, how long the others have been dead, and which are forgotten. Tasks of a dead node are hidden
 * at once and shown again when it returns; what its file declares stays. All of it is forgotten after a day, or by an
 * operator's directive, and then not learned again from nodes that still remember it.
 */
import { DEAD_OWNER_LIFE_MS, MAX_OWNERS, SERVICE_TOMBSTONE_LIFE_MS } from "./limits.ts";

interface Forgotten {
  /** Whatever it wrote up to here is gone. */
  readonly counter: number;
  readonly untilMs: number;
  /** It had declarations: a node that was away may still show them. */
  readonly hadDeclarations: boolean;
}

/** What outlives the process of nodes that are not alive. */
export interface OwnersState {
  readonly dead: readonly (readonly [owner: string, deadForMs: number])[];
  readonly forgotten: readonly (readonly [
    owner: string,
    counter: number,
    leftMs: number,
    hadDeclarations: boolean,
  ])[];
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

  forget(owner: string, counter: number, hadDeclarations: boolean, steadyMs: number): void {
    const hasDeclared = hadDeclarations || this.#forgotten.get(owner)?.hadDeclarations === true;
    const lifeMs = hasDeclared ? SERVICE_TOMBSTONE_LIFE_MS : DEAD_OWNER_LIFE_MS;
    this.#deadSinceMs.delete(owner);
    this.#remember(owner, { counter, untilMs: steadyMs + lifeMs, hadDeclarations: hasDeclared });
  }

  /** Forgotten ones whose declarations others may not have forgotten. */
  forgottenDeclarers(steadyMs: number): string[] {
    return [...this.#forgotten].flatMap(([owner, { untilMs, hadDeclarations }]) =>
      hadDeclarations && untilMs > steadyMs && !this.isLive(owner) ? [owner] : [],
    );
  }

  state(steadyMs: number): OwnersState {
    return {
      dead: [...this.#deadSinceMs.keys()].map((owner) => [owner, this.deadForMs(owner, steadyMs)]),
      forgotten: [...this.#forgotten].flatMap(([owner, { counter, untilMs, hadDeclarations }]) =>
        untilMs > steadyMs ? [[owner, counter, untilMs - steadyMs, hadDeclarations] as const] : [],
      ),
    };
  }

  restore({ dead, forgotten }: OwnersState, steadyMs: number): void {
    for (const [owner, deadForMs] of dead) this.noticeDeadFor(owner, deadForMs, steadyMs);
    for (const [owner, counter, leftMs, hadDeclarations] of forgotten) {
      this.#remember(owner, { counter, untilMs: steadyMs + leftMs, hadDeclarations });
    }
  }

  #remember(owner: string, forgotten: Forgotten): void {
    this.#forgotten.delete(owner);
    this.#forgotten.set(owner, forgotten);
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
