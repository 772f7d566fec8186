/**
 * Which tasks of this node are down. A task that fails a client is put on trial: it is probed until it is reachable
 * again, and counts as down once that has taken too long. A task that no client has failed to reach costs nothing.
 */
import { UdpSockets } from "../../sys/udp-sockets.ts";
import type { TaskEndpoint } from "../table/routing-table.ts";
import { Probe } from "./probe.ts";
import { SILENT_MS, Trial } from "./trial.ts";

const TICK_MS = 50;
/** Endpoints beyond it stay untried, so their ports stay open: a whole port range may fail at once. */
const MAX_TRIALS = 4_096;
/** Bounds descriptors, and with the tick the rate of probes. */
const MAX_PROBES = 32;
/** A host that limits its ICMP errors has room for one more. */
const HOST_PAUSE_MS = 1_000;

interface Entry {
  readonly task: TaskEndpoint;
  readonly trial: Trial;
  /** Of the last failure, positive. */
  lastErrno: number;
  probe: Probe | null;
}

export interface TaskWatchOptions {
  /** Monotonic. */
  readonly nowMs: () => number;
  /** A task is down, or reachable again. */
  readonly onChange: () => void;
}

export class TaskWatch {
  readonly #options: TaskWatchOptions;
  /** By endpoint; bounded by MAX_TRIALS. The one that has waited longest for a probe comes first. */
  readonly #entries = new Map<string, Entry>();
  /** Address → when it may be asked again; bounded by the number of entries. */
  readonly #hostPauses = new Map<string, number>();
  /** Read once a tick at most: a range may have thousands of ports. */
  readonly #udpSockets = new UdpSockets();
  #probes = 0;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(options: TaskWatchOptions) {
    this.#options = options;
  }

  /**
   * It has failed a client.
   * @param errnoValue positive errno
   * @param patienceMs how long clients wait for a connection to it; null: not known, as long as for any
   */
  onFailed(task: TaskEndpoint, errnoValue: number, patienceMs: number | null = null): void {
    const key = keyOf(task);
    if (this.#entries.has(key) || this.#entries.size >= MAX_TRIALS) return;
    this.#entries.set(key, {
      task,
      trial: new Trial(this.#options.nowMs(), patienceMs ?? SILENT_MS),
      lastErrno: errnoValue,
      probe: null,
    });
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  isDown(task: TaskEndpoint): boolean {
    return this.#entries.get(keyOf(task))?.trial.isDown === true;
  }

  /** No task is down, or on trial. */
  get isIdle(): boolean {
    return this.#entries.size === 0;
  }

  /** Forgets tasks that are not among these. */
  keepOnly(tasks: Iterable<TaskEndpoint>): void {
    if (this.isIdle) return;
    const wanted = new Set<string>();
    for (const task of tasks) wanted.add(keyOf(task));
    for (const [key, entry] of this.#entries) if (!wanted.has(key)) this.#remove(key, entry);
    this.#rest();
  }

  close(): void {
    this.keepOnly([]);
  }

  #tick(): void {
    const nowMs = this.#options.nowMs();
    let hasChanged = false;
    for (const [key, entry] of this.#entries) {
      if (entry.probe !== null && this.#poll(key, entry, entry.probe, nowMs)) hasChanged = true;
    }
    this.#udpSockets.expire();
    this.#startProbes(nowMs);
    this.#rest();
    if (hasChanged) this.#options.onChange();
  }

  /** Whether the task is down, or up again, with this. */
  #poll(key: string, entry: Entry, probe: Probe, nowMs: number): boolean {
    const result = probe.poll(nowMs);
    if (result === null) return false;
    const { trial } = entry;
    const wasDown = trial.isDown;
    const outcome = trial.onResult(result, probe.isRateLimited, nowMs);
    this.#remove(key, entry);
    if (outcome === "answered") return wasDown;
    entry.probe = null;
    entry.lastErrno = probe.lastErrno;
    this.#entries.set(key, entry); // behind all that wait
    return outcome === "down";
  }

  #startProbes(nowMs: number): void {
    for (const entry of this.#entries.values()) {
      if (this.#probes >= MAX_PROBES) return;
      const { task, trial, lastErrno, probe } = entry;
      if (probe !== null || trial.nextProbeMs > nowMs || this.#isPaused(task, nowMs)) continue;
      entry.probe = new Probe(task, lastErrno, nowMs, this.#udpSockets);
      this.#probes++;
      if (entry.probe.isRateLimited) this.#hostPauses.set(task.address, nowMs + HOST_PAUSE_MS);
    }
  }

  #isPaused({ protocol, address }: TaskEndpoint, nowMs: number): boolean {
    return protocol === "udp" && (this.#hostPauses.get(address) ?? 0) > nowMs;
  }

  #remove(key: string, { probe }: Entry): void {
    this.#entries.delete(key);
    if (probe === null) return;
    probe.close();
    this.#probes--;
  }

  #rest(): void {
    if (!this.isIdle || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#hostPauses.clear();
    this.#udpSockets.forget();
  }
}

function keyOf({ protocol, address, port }: TaskEndpoint): string {
  return `${protocol} ${address} ${port}`;
}
