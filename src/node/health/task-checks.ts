/**
 * The health of this node's tasks: probes those that have a check, and keeps their records in line with the results. What
 * follows from the records, here and on other nodes, is derived from them like everything else.
 */
import { isIP } from "node:net";
import {
  type Catalog,
  MAX_HEALTH_REASON_LENGTH,
  type TaskHealth,
  taskKey,
  type VisibleTask,
} from "../../catalog/index.ts";
import { Checks, down, type Health, type ProbeResult, probeTask } from "../../health/index.ts";
import type { NodeClock } from "../../sys/clock.ts";
import type { Reconciler } from "../facts/reconcile.ts";
import { servicesInPanic } from "../rotation.ts";
import { type CheckedTask, checkedTasks } from "./checked-tasks.ts";
import { SlowStart } from "./slow-start.ts";

/** Results that come together make one pass. */
const GATHER_MS = 10;
const NOT_PROBED = "not probed yet";

export interface HealthLog {
  health(change: { readonly service: string; readonly task: string; readonly health: TaskHealth }): void;
  panic(service: string, isPanicking: boolean): void;
}

export interface TaskChecksOptions {
  readonly catalog: Catalog;
  readonly reconciler: Reconciler;
  readonly clock: NodeClock;
  readonly random: () => number;
  /** [] while the name has not been resolved. */
  readonly addressesOf: (host: string) => readonly string[];
  readonly log: HealthLog;
  /** The node continues for another process, which has checked the tasks until now. */
  readonly isTakeover: boolean;
}

export class TaskChecks {
  readonly #options: TaskChecksOptions;
  readonly #checks: Checks<CheckedTask>;
  readonly #slowStart = new SlowStart();
  /** Of the catalog, as applied last. */
  #revision = -1;
  /** node.exec_checks, likewise. */
  #execChecks = false;
  #hasNews = false;
  #cancelGather: (() => void) | null = null;
  #cancelStep: (() => void) | null = null;
  /** Tasks of this node that have clients although they are not checked: they keep them when they are. */
  #unchecked: ReadonlySet<string> = new Set();
  #panicking: ReadonlySet<string> = new Set();
  #isClosed = false;

  constructor(options: TaskChecksOptions) {
    this.#options = options;
    const { clock, random, log } = options;
    this.#checks = new Checks({
      clock,
      random,
      probe: (task, signal) => this.#probe(task, signal),
      onHealth: ({ service, name }, health, before) => {
        if (health.state !== before.state) log.health({ service, task: name, health: recordOf(health) });
        this.#gather();
      },
    });
  }

  /** Takes part in the passes from now on. */
  start(): void {
    this.#options.reconciler.attach("health", () => this.#apply());
  }

  pause(): void {
    this.#checks.pause();
  }

  resume(): void {
    this.#checks.resume();
  }

  close(): void {
    this.#isClosed = true;
    this.#checks.close();
    this.#cancelGather?.();
    this.#cancelStep?.();
  }

  async #probe(task: CheckedTask, signal: AbortSignal): Promise<ProbeResult> {
    if (task.refusal !== null) return down(task.refusal);
    return probeTask(task.check, task, this.#addressesOf(task), signal);
  }

  #addressesOf({ host }: CheckedTask): readonly string[] {
    return isIP(host) !== 0 ? [host] : this.#options.addressesOf(host);
  }

  #gather(): void {
    this.#hasNews = true;
    const { clock, reconciler } = this.#options;
    this.#cancelGather ??= clock.steady.after(GATHER_MS, () => {
      this.#cancelGather = null;
      reconciler.changed();
    });
  }

  #apply(): void {
    const { catalog, reconciler } = this.#options;
    const { execChecks } = reconciler.facts.file.config.node;
    const isSame = catalog.revision === this.#revision && execChecks === this.#execChecks;
    if (this.#isClosed || (isSame && !this.#hasNews)) return;
    this.#hasNews = false;
    this.#execChecks = execChecks;
    const own = catalog.tasks().filter(({ owner }) => owner === catalog.self);
    this.#follow(own);
    const changed = own.filter((task) => !Bun.deepEquals(task.health, this.#recordOf(task)));
    if (changed.length > 0) {
      catalog.transaction((writer) => {
        for (const task of changed) {
          const { owner: _owner, stamp: _stamp, health: _health, ...record } = task;
          const health = this.#recordOf(task);
          writer.writeTask({ ...record, ...(health !== undefined && { health }) });
        }
      });
      reconciler.learn({ catalogRevision: catalog.revision, writes: reconciler.facts.writes + 1 });
    }
    this.#revision = catalog.revision;
    this.#followPanic();
    this.#followSlowStart();
  }

  #follow(own: readonly VisibleTask[]): void {
    const { catalog } = this.#options;
    const tasks = checkedTasks(own, catalog.services(), catalog.ownDeclarations(), this.#execChecks);
    const before = new Map(own.map((task) => [taskKey(task.service, task.name), task.health]));
    const checked = new Set(tasks.map(({ key }) => key));
    this.#checks.follow(tasks, ({ key }) => this.#initial(key, before.get(key)));
    this.#unchecked = new Set([...before.keys()].filter((key) => !checked.has(key)));
  }

  #initial(key: string, before: TaskHealth | undefined): Health {
    const { clock, isTakeover } = this.#options;
    if (isTakeover && before !== undefined) return before;
    const hasClients = this.#unchecked.has(key) || (isTakeover && this.#revision < 0);
    return { state: hasClients ? "healthy" : "starting", reason: NOT_PROBED, since: clock.nowMs() };
  }

  #recordOf({ service, name }: VisibleTask): TaskHealth | undefined {
    const health = this.#checks.healthOf(taskKey(service, name));
    return health === null ? undefined : recordOf(health);
  }

  /** Said by the nodes that run the tasks. */
  #followPanic(): void {
    const { catalog, log } = this.#options;
    const now = new Set(servicesInPanic(catalog));
    const isOwn = (service: string) => catalog.tasksOf(service).some(({ owner }) => owner === catalog.self);
    for (const service of now) if (!this.#panicking.has(service) && isOwn(service)) log.panic(service, true);
    for (const service of this.#panicking) if (!now.has(service) && isOwn(service)) log.panic(service, false);
    this.#panicking = now;
  }

  #followSlowStart(): void {
    const { catalog, reconciler, clock } = this.#options;
    const services = catalog.services();
    const { shares, nextInMs } = this.#slowStart.sharesOf(
      catalog.tasks(),
      (service) => services.get(service)?.spec.slowStartMs ?? 0,
      clock.nowMs(),
    );
    reconciler.learn({ shares });
    this.#cancelStep?.();
    this.#cancelStep = null;
    if (nextInMs === null) return;
    this.#cancelStep = clock.steady.after(nextInMs, () => this.#followSlowStart());
  }
}

/** As it fits into a record: on one line, and not too long. */
function recordOf({ state, reason, since }: Health): TaskHealth {
  const line = reason.replace(/\p{Cc}+/gu, " ").trim();
  return { state, reason: line.slice(0, MAX_HEALTH_REASON_LENGTH), since: Math.max(0, Math.floor(since)) };
}
