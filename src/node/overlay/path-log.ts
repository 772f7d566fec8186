/**
 * Logs which nodes the overlay reaches and which it no longer does: once for each change, with the cause and the path
 * used instead. Changes within a second share one line for each cause; a node whose path keeps changing is logged less
 * and less often.
 */
import type { Clock } from "../../sys/clock.ts";
import { LineBudget } from "../line-budget.ts";
import type { Log } from "../log.ts";

/** Changes within it have one cause; the log gets the state at its end. */
const TOGETHER_MS = 1_000;
const MAX_NAMES = 3;
/** Of one node: a burst of changes is logged at once, then one a minute. */
const CHANGES = { burstLines: 6, refillMs: 60_000, summaryMs: 60_000 };

export interface PathChange {
  readonly node: string;
  /** The overlay reaches it. */
  readonly isUp: boolean;
  /** Why it does not; "" when it does. */
  readonly cause: string;
}

export class PathLog {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Nodes that the overlay reaches, as the log has it. */
  readonly #up = new Set<string>();
  /** By node; bounded by the nodes of the cluster. */
  readonly #pending = new Map<string, PathChange>();
  readonly #budgets = new Map<string, LineBudget>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  changed(changes: readonly PathChange[]): void {
    if (changes.length === 0) return;
    if (this.#pending.size === 0) this.#clock.after(TOGETHER_MS, () => this.#logPending());
    for (const change of changes) this.#pending.set(change.node, change);
  }

  /** It has left, or failed: cluster-log.ts logs that. */
  forget(node: string): void {
    this.#up.delete(node);
    this.#pending.delete(node);
    this.#budgets.delete(node);
  }

  #logPending(): void {
    const changes = [...this.#pending.values()].filter(({ node, isUp }) => isUp !== this.#up.has(node));
    this.#pending.clear();
    for (const { node, isUp } of changes) {
      if (isUp) this.#up.add(node);
      else this.#up.delete(node);
    }
    const allowed = changes.filter(({ node }) => this.#budgetOf(node).take());
    for (const group of Map.groupBy(allowed, ({ isUp, cause }) => `${isUp} ${cause}`).values())
      this.#logGroup(group);
  }

  #logGroup(group: readonly PathChange[]): void {
    const { isUp, cause } = group[0]!;
    const names = group.map(({ node }) => node).sort();
    const who = namesText(names);
    const fields = {
      nodes: names.slice(0, MAX_NAMES),
      count: names.length,
      path: isUp ? "overlay" : "direct",
    };
    const verb = names.length === 1 ? "is" : "are";
    if (isUp) return this.#log.info(fields, `overlay: ${who} ${verb} reached over the overlay`);
    this.#log.warn(
      { ...fields, cause },
      `overlay: ${who} ${verb} no longer reached over the overlay: ${cause}; relays use node addresses`,
    );
  }

  #budgetOf(node: string): LineBudget {
    let budget = this.#budgets.get(node);
    if (budget === undefined) {
      const onSummary = (count: number) =>
        this.#log.warn(
          { node, count },
          `overlay: the path to ${node} has changed ${count} more times: too often to log each change`,
        );
      budget = new LineBudget(this.#clock, onSummary, CHANGES);
      this.#budgets.set(node, budget);
    }
    return budget;
  }
}

function namesText(names: readonly string[]): string {
  const [last, ...others] = names.toReversed();
  if (names.length > MAX_NAMES) return `${names.length} nodes (${names.slice(0, MAX_NAMES).join(", ")}, …)`;
  return others.length === 0 ? `node ${last}` : `nodes ${others.reverse().join(", ")} and ${last}`;
}
