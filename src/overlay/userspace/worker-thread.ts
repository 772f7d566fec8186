/** The main thread's handle of the driver's worker: messages one way, acknowledgements the other. */
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import { close } from "../../sys/socket.ts";
import { openWakeup, ringWakeup } from "../../sys/wakeup.ts";
import { startWorker } from "../../sys/worker.ts";
import type { FromWorker, ToWorker, WorkerPeer, WorkerSetup } from "./worker-messages.ts";

export class WorkerThread {
  readonly #port: MessagePort;
  readonly #wakeupFd = openWakeup();
  readonly #thread: Worker;
  readonly #stopped = Promise.withResolvers<void>();
  #pong: PromiseWithResolvers<void> | null = null;
  #sequence = 0;
  /** by sequence number, waiting for the worker to have applied it */
  readonly #waiting = new Map<number, () => void>();

  constructor(setup: Omit<WorkerSetup, "port" | "wakeupFd">) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on("message", (message: FromWorker) => this.#onMessage(message));
    const workerData: WorkerSetup = { ...setup, port: port2, wakeupFd: this.#wakeupFd };
    this.#thread = startWorker("overlay/userspace/worker/main.ts", workerData, [port2]);
    // a worker that dies has a bug; the supervisor restarts the node
    this.#thread.on("error", (cause: Error) => {
      throw new Error(`overlay worker failed: ${cause.message}`, { cause });
    });
  }

  /** Resolves when the worker sends to these peers only. */
  setPeers(peers: readonly WorkerPeer[]): Promise<void> {
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#waiting.set(sequence, resolve);
      this.#post({ type: "peers", sequence, peers });
    });
  }

  /** Of the interface that the underlay begins with. */
  setLocalMtu(bytes: number): void {
    this.#post({ type: "local-mtu", bytes });
  }

  /** Resolves when the worker has answered, or ends; calls while it is waited for wait for the same answer. */
  ping(): Promise<void> {
    this.#pong ??= Promise.withResolvers<void>();
    this.#post({ type: "ping" });
    return this.#pong.promise;
  }

  /** Resolves when the worker touches its descriptors no more. */
  async stop(): Promise<void> {
    this.#post({ type: "stop" });
    await this.#stopped.promise;
    this.#port.close();
    await this.#thread.terminate();
    close(this.#wakeupFd);
  }

  #post(message: ToWorker): void {
    this.#port.postMessage(message);
    ringWakeup(this.#wakeupFd);
  }

  #onMessage(message: FromWorker): void {
    if (message.type === "stopped") this.#stopped.resolve();
    if (message.type === "pong" || message.type === "stopped") {
      this.#pong?.resolve();
      this.#pong = null;
    }
    if (message.type !== "applied") return;
    this.#waiting.get(message.sequence)?.();
    this.#waiting.delete(message.sequence);
  }
}
