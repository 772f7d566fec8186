/** The main thread's handle of one worker: messages one way, acknowledgements the other. */
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import { openWakeup, ringWakeup } from "../sys/wakeup.ts";
import { startWorker } from "../sys/worker.ts";
import type { TaskEndpoint } from "./table/routing-table.ts";
import type { FromWorker, HandedUdp, ToWorker, WorkerSetup, WorkerTable } from "./table/worker-messages.ts";

export interface WorkerEvents {
  /** There are connection records in the worker's ring. */
  onRecords(): void;
  /** @param errnoValue positive errno */
  onTaskFailed(task: TaskEndpoint, errnoValue: number, patienceMs: number | null): void;
  onShortage(): void;
}

export class WorkerThread {
  readonly ready: Promise<void>;
  readonly #port: MessagePort;
  readonly #wakeupFd = openWakeup();
  readonly #thread: Worker;
  readonly #stopped: Promise<void>;
  #onReady!: () => void;
  #onStopped!: () => void;
  #pong: PromiseWithResolvers<void> | null = null;
  #sequence = 0;
  /** by sequence number, waiting for the worker to have applied it */
  readonly #waiting = new Map<number, () => void>();
  readonly #pausing = new Map<number, (udp: HandedUdp) => void>();

  constructor(
    setup: Omit<WorkerSetup, "port" | "wakeupFd">,
    readonly events: WorkerEvents,
  ) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    this.#stopped = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
    port1.on("message", (message: FromWorker) => this.#onMessage(message));
    const workerData: WorkerSetup = { ...setup, port: port2, wakeupFd: this.#wakeupFd };
    this.#thread = startWorker("proxy/worker/main.ts", workerData, [port2]);
    // a worker that dies has a bug; the supervisor restarts the node
    this.#thread.on("error", (cause: Error) => {
      throw new Error(`proxy worker ${setup.index} failed: ${cause.message}`, { cause });
    });
  }

  post(message: ToWorker): void {
    this.#port.postMessage(message);
    ringWakeup(this.#wakeupFd);
  }

  /** Resolves when the worker runs the table. */
  apply(table: WorkerTable): Promise<void> {
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#waiting.set(sequence, resolve);
      this.post({ type: "table", sequence, table });
    });
  }

  /** Resolves with its sessions, which it does not serve until `resumeUdp`. */
  pauseUdp(): Promise<HandedUdp> {
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#pausing.set(sequence, resolve);
      this.post({ type: "udp", sequence, step: "pause" });
    });
  }

  /** After `pauseUdp`. */
  endPauseOfUdp(step: "resume" | "forget"): Promise<void> {
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#waiting.set(sequence, resolve);
      this.post({ type: "udp", sequence, step });
    });
  }

  /** Resolves when the worker has answered; calls while it is waited for wait for the same answer. */
  ping(): Promise<void> {
    this.#pong ??= Promise.withResolvers<void>();
    this.post({ type: "ping" });
    return this.#pong.promise;
  }

  async stop(): Promise<void> {
    this.post({ type: "stop" });
    await this.#stopped;
    this.#port.close();
    await this.#thread.terminate();
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case "ready":
        this.#onReady();
        break;
      case "applied":
        this.#waiting.get(message.sequence)?.();
        this.#waiting.delete(message.sequence);
        break;
      case "udp-paused":
        this.#pausing.get(message.sequence)?.(message.udp);
        this.#pausing.delete(message.sequence);
        break;
      case "records":
        this.events.onRecords();
        break;
      case "task-failed":
        this.events.onTaskFailed(message.task, message.errno, message.patienceMs);
        break;
      case "shortage":
        this.events.onShortage();
        break;
      case "pong":
        this.#pong?.resolve();
        this.#pong = null;
        break;
      case "stopped":
        this.#onStopped();
        break;
    }
  }
}
