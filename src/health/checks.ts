/**
 * When the tasks of this node are probed, and what follows from it: a machine without sockets, driven by a clock.
 *
 * The first probe of a task is due at once, so that it serves as soon as it answers. The later ones are spread over the
 * interval. So many run at a time; the others wait in the order in which they became due.
 */
import type { Check } from "../model/index.ts";
import type { NodeClock } from "../sys/clock.ts";
import { down, type ProbeResult } from "./probe-result.ts";
import { type Health, RiseFall } from "./rise-fall.ts";

/** At a time: bounds descriptors. */
const MAX_PROBES = 64;
/** Processes cost more. */
const MAX_COMMANDS = 8;
/** The second probe comes after half an interval to a whole one: tasks that began together drift apart. */
const LEAST_SECOND = 0.5;
/** Of the interval, to either side. */
const JITTER = 0.05;

export interface Checked {
  readonly key: string;
  readonly check: Check;
}

export interface ChecksOptions<T extends Checked> {
  readonly clock: NodeClock;
  /** [0, 1) */
  readonly random: () => number;
  /** Made for this task now. Ends soon after `signal` is aborted: its result is not wanted then. */
  readonly probe: (task: T, signal: AbortSignal) => Promise<ProbeResult>;
  readonly onHealth: (task: T, health: Health, before: Health) => void;
}

interface Entry<T> {
  task: T;
  machine: RiseFall;
  /** Of the next probe. */
  cancelTimer: () => void;
  /** null: none runs. */
  running: Running<T> | null;
  probes: number;
}

interface Running<T> {
  readonly lane: Lane<T>;
  readonly startedAtMs: number;
  readonly abort: AbortController;
  readonly cancelTimeout: () => void;
}

interface Lane<T> {
  readonly most: number;
  count: number;
  /** Due; those whose task is gone are passed over. Bounded by the tasks. */
  readonly waiting: Set<Entry<T>>;
}

export class Checks<T extends Checked> {
  readonly #options: ChecksOptions<T>;
  /** Bounded by the tasks of this node. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #probes: Lane<T> = { most: MAX_PROBES, count: 0, waiting: new Set() };
  readonly #commands: Lane<T> = { most: MAX_COMMANDS, count: 0, waiting: new Set() };
  #isPaused = false;

  constructor(options: ChecksOptions<T>) {
    this.#options = options;
  }

  /**
   * From now on exactly these tasks are checked. One whose check or address is another is probed at once and keeps its
   * health; one that is as before is not touched.
   * @param initial the health of a task that was not checked before
   */
  follow(tasks: readonly T[], initial: (task: T) => Health): void {
    const wanted = new Set(tasks.map(({ key }) => key));
    for (const [key, entry] of this.#entries) if (!wanted.has(key)) this.#remove(key, entry);
    for (const task of tasks) {
      const known = this.#entries.get(task.key);
      if (known === undefined) this.#add(task, initial(task));
      else if (!Bun.deepEquals(known.task, task)) this.#replace(known, task);
    }
  }

  healthOf(key: string): Health | null {
    return this.#entries.get(key)?.machine.health ?? null;
  }

  /** No probe begins, and the result of none counts. */
  pause(): void {
    this.#isPaused = true;
    for (const entry of this.#entries.values()) this.#stop(entry);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    for (const entry of this.#entries.values()) this.#due(entry);
  }

  close(): void {
    this.pause();
    this.#entries.clear();
  }

  #add(task: T, health: Health): void {
    const entry: Entry<T> = {
      task,
      machine: new RiseFall(task.check, health),
      cancelTimer: () => undefined,
      running: null,
      probes: 0,
    };
    this.#entries.set(task.key, entry);
    this.#due(entry);
  }

  #replace(entry: Entry<T>, task: T): void {
    this.#stop(entry);
    entry.task = task;
    entry.machine = new RiseFall(task.check, entry.machine.health);
    this.#due(entry);
  }

  #remove(key: string, entry: Entry<T>): void {
    this.#entries.delete(key);
    this.#stop(entry);
  }

  #laneOf({ task }: Entry<T>): Lane<T> {
    return task.check.type === "exec" ? this.#commands : this.#probes;
  }

  #due(entry: Entry<T>): void {
    if (this.#isPaused) return;
    this.#laneOf(entry).waiting.add(entry);
    this.#startWaiting(this.#laneOf(entry));
  }

  #startWaiting(lane: Lane<T>): void {
    for (const entry of lane.waiting) {
      if (lane.count >= lane.most || this.#isPaused) return;
      lane.waiting.delete(entry);
      this.#start(entry, lane);
    }
  }

  #start(entry: Entry<T>, lane: Lane<T>): void {
    const { clock, probe } = this.#options;
    const { timeoutMs } = entry.task.check;
    const abort = new AbortController();
    const end = (result: ProbeResult) => {
      if (entry.running === running) this.#end(entry, running, result);
    };
    const running: Running<T> = {
      lane,
      abort,
      startedAtMs: clock.steady.nowMs(),
      cancelTimeout: clock.steady.after(timeoutMs, () => end(down(`no answer in ${showTime(timeoutMs)}`))),
    };
    entry.running = running;
    entry.probes++;
    lane.count++;
    probe(entry.task, abort.signal).then(end, (error) => end(down(String(error?.message ?? error))));
  }

  #end(entry: Entry<T>, running: Running<T>, result: ProbeResult): void {
    const { clock, onHealth } = this.#options;
    this.#release(entry, running);
    this.#scheduleNext(entry, running.startedAtMs);
    const before = entry.machine.health;
    if (entry.machine.onResult(result, clock.nowMs())) onHealth(entry.task, entry.machine.health, before);
    this.#startWaiting(running.lane);
  }

  #scheduleNext(entry: Entry<T>, startedAtMs: number): void {
    const { clock, random } = this.#options;
    const share =
      entry.probes === 1 ? LEAST_SECOND + random() * (1 - LEAST_SECOND) : 1 + (random() * 2 - 1) * JITTER;
    const dueMs = startedAtMs + entry.task.check.intervalMs * share;
    entry.cancelTimer = clock.steady.after(Math.max(0, dueMs - clock.steady.nowMs()), () => this.#due(entry));
  }

  #stop(entry: Entry<T>): void {
    entry.cancelTimer();
    this.#laneOf(entry).waiting.delete(entry);
    const { running } = entry;
    if (running === null) return;
    this.#release(entry, running);
    this.#startWaiting(running.lane);
  }

  #release(entry: Entry<T>, running: Running<T>): void {
    entry.running = null;
    running.cancelTimeout();
    running.abort.abort();
    running.lane.count--;
  }
}

/** "250 ms", "1 s", "1.5 s" */
function showTime(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}
