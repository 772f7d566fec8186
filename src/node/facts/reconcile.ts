/**
 * The one place where what a node knows turns into what it does. A fact that changes marks the node dirty; one pass at the
 * end of the turn derives everything from all facts (derive.ts) and hands it to the parts of the node, which apply what
 * differs. However many facts a turn brings, it ends in one pass.
 *
 * A part takes part in the passes from when it is attached, always in the same order. What it learns while it applies
 * is a fact like any other: the pass is repeated until nothing has changed. A part that fails is reported, holds up no
 * other part, and is tried again ever more rarely.
 */

import type { CatalogState } from "../../catalog/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { RoutingInput } from "../routing-input.ts";
import { type Derived, derive, keptState, routingInput } from "./derive.ts";
import type { Facts } from "./facts.ts";

/**
 * In the order of a pass: other nodes hear of an address before they get records from it, and of this node's records
 * before anything else is done with them.
 */
const ORDER = [
  "members",
  "records",
  "health",
  "push",
  "overlay",
  "store",
  "tables",
  "ports",
  "events",
] as const;

/** Facts that keep changing each other are a bug: the turn must end all the same. */
const MAX_ROUNDS = 20;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

export type PartName = (typeof ORDER)[number];
type Apply = (derived: Derived) => void | Promise<void>;

export interface ReconcilerOptions {
  readonly facts: Facts;
  readonly clock: Clock;
  /** A part could not be brought in line with the facts; it is tried again. */
  readonly onError: (part: PartName, error: unknown) => void;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  #facts: Facts;
  readonly #parts = new Map<PartName, Apply>();
  #isDirty = false;
  #isQueued = false;
  #isRunning = false;
  #isClosed = false;
  #passes = 0;
  /** In a row, of parts that fail now. */
  readonly #failures = new Map<PartName, number>();
  #cancelRetry: (() => void) | null = null;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#facts = options.facts;
  }

  get facts(): Facts {
    return this.#facts;
  }

  /** What the routing table is made of now. */
  get routing(): RoutingInput {
    return routingInput(this.#facts, this.#options.clock.nowMs());
  }

  /** What is kept on disk beside the catalog's records now. */
  get kept(): CatalogState {
    return keptState(this.#facts);
  }

  /** Since the start. */
  get passes(): number {
    return this.#passes;
  }

  /** Records facts; those that are what they were change nothing. */
  learn(learned: Partial<Facts>): void {
    const changed = Object.entries(learned).filter(
      ([name, fact]) => !Bun.deepEquals(fact, this.#facts[name as keyof Facts]),
    );
    if (changed.length === 0) return;
    this.#facts = { ...this.#facts, ...Object.fromEntries(changed) };
    this.changed();
  }

  /** Something else has changed that parts go by: a pass follows at the end of this turn. */
  changed(): void {
    this.#isDirty = true;
    if (this.#isQueued || this.#isRunning || this.#isClosed) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      this.now();
    });
  }

  /** From the next pass on, which follows. */
  attach(name: PartName, apply: Apply): void {
    this.#parts.set(name, apply);
    this.changed();
  }

  /** The pass that is due, without waiting for the end of the turn: what follows from the facts is in force then. */
  now(): void {
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    const failed = new Set<PartName>();
    let rounds = 0;
    while (this.#isDirty && rounds++ < MAX_ROUNDS) {
      this.#isDirty = false;
      this.#pass(failed);
    }
    this.#isRunning = false;
    if (this.#isDirty) this.#fail("records", new Error(`facts still change after ${MAX_ROUNDS} passes`));
  }

  /** Nothing is applied after this. */
  close(): void {
    this.#isClosed = true;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
  }

  #pass(failed: Set<PartName>): void {
    this.#passes++;
    const derived = derive(this.#facts);
    for (const name of ORDER) {
      if (failed.has(name)) continue; // until it is tried again
      try {
        const applying = this.#parts.get(name)?.(derived);
        if (applying === undefined) this.#failures.delete(name);
        else applying.then(() => this.#failures.delete(name)).catch((error) => this.#fail(name, error));
      } catch (error) {
        failed.add(name);
        this.#fail(name, error);
      }
    }
  }

  #fail(name: PartName, error: unknown): void {
    if (this.#isClosed) return;
    const failures = this.#failures.get(name) ?? 0;
    this.#failures.set(name, failures + 1);
    this.#options.onError(name, error);
    if (this.#cancelRetry !== null) return;
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    this.#cancelRetry = this.#options.clock.after(waitMs, () => {
      this.#cancelRetry = null;
      this.changed();
    });
  }
}
