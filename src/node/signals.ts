/**
 * The signals of a node, from before its start on. SIGHUP reloads, when it starts as soon as it serves. SIGTERM and
 * SIGINT drain and end; a second one ends at once, a third without asking. SIGUSR2 does the same where the service
 * manager keeps the sockets for the next process (RestartKillSignal=). Otherwise SIGUSR1 and SIGUSR2 do nothing.
 */
import { takeSignal } from "../sys/held-signals.ts";
import type { Log } from "./log.ts";

export class NodeSignals {
  readonly #stop = Promise.withResolvers<void>();
  readonly #hurry = Promise.withResolvers<void>();
  #stopCount = 0;
  #isRestart = false;
  /** null: it has not started. */
  #reload: (() => Promise<void>) | null = null;
  #isReloading = false;
  #isReloadDue = false;

  /** @param keepSockets false: SIGUSR2 means nothing here */
  constructor(log: Log, keepSockets: () => boolean = () => false) {
    takeSignal("SIGHUP", () => this.#onReload());
    for (const signal of ["SIGTERM", "SIGINT"] as const) takeSignal(signal, () => this.#onStop());
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const)
      takeSignal(signal, () => {
        if (signal === "SIGUSR2" && this.#stopCount === 0 && keepSockets()) {
          this.#isRestart = true;
          this.#onStop();
        } else log.warn({ signal }, `${signal} ignored: SIGHUP reloads, SIGTERM drains and stops`);
      });
  }

  /** It stops for a process that continues with its sockets. */
  get isRestart(): boolean {
    return this.#isRestart;
  }

  /** SIGTERM or SIGINT, or SIGUSR2 for a restart. */
  get stop(): Promise<void> {
    return this.#stop.promise;
  }

  /** A second one. */
  get hurry(): Promise<void> {
    return this.#hurry.promise;
  }

  /**
   * It serves: `reload`, which must not reject, runs once for the signals that came while it started, and once more
   * for those that come while it runs.
   */
  onServing(reload: () => Promise<void>): void {
    this.#reload = reload;
    void this.#reloadWhileDue();
  }

  #onReload(): void {
    this.#isReloadDue = true;
    void this.#reloadWhileDue();
  }

  async #reloadWhileDue(): Promise<void> {
    if (this.#reload === null || this.#isReloading) return;
    this.#isReloading = true;
    while (this.#isReloadDue) {
      this.#isReloadDue = false;
      await this.#reload();
    }
    this.#isReloading = false;
  }

  #onStop(): void {
    this.#stopCount++;
    if (this.#stopCount === 1) this.#stop.resolve();
    else if (this.#stopCount === 2) this.#hurry.resolve();
    else process.exit(1); // it hangs
  }
}
