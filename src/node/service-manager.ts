/**
 * What the service manager (systemd) learns of this node: that it serves, reloads, drains or waits, and that it is
 * alive. Without $NOTIFY_SOCKET nothing is sent. [sd_notify(3), systemd.service(5): Type=notify, WatchdogSec=]
 */
import type { Clock } from "../sys/clock.ts";
import type { InheritedSockets } from "../sys/inherited-sockets.ts";
import { isNotifyAddress, monotonicMicroseconds, NotifySocket } from "../sys/notify-socket.ts";
import { FdStore } from "./fd-store.ts";
import type { Log } from "./log.ts";
import type { Sockets } from "./socket-list.ts";

/** While it drains or waits it asks for more time, so often and so much. */
const EXTEND_EVERY_MS = 5_000;
const EXTEND_BY_MS = 20_000;
const US_PER_MS = 1_000;

type Env = Record<string, string | undefined>;

export interface ServiceManagerOptions {
  readonly env: Env;
  readonly pid: number;
  /** Its predecessor has started it, and the manager has set the watchdog for that one. Else the manager has. */
  readonly isSuccessor: boolean;
  /** What it begins with, and the manager may have in its store. */
  readonly inherited: InheritedSockets;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Watched {
  /** Resolves when every worker has answered: one that hangs must not be hidden by the main thread. */
  ping(): Promise<void>;
  /** One line; it changes with the services of the cluster. */
  readonly summary: string;
}

export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  /** null: there is none, or another process speaks now. */
  #socket: NotifySocket | null;
  readonly #watchdogMs: number | null;
  readonly #store: FdStore | null;
  #watched: Watched | null = null;
  #isStopping = false;
  #reloads = 0;
  #status = "";
  /** Calls off what is due next. */
  readonly #cancels = { watchdog: () => {}, extension: () => {} };
  #isPinging = false;
  #hasHung = false;

  constructor(options: ServiceManagerOptions) {
    const { env, clock, log } = options;
    const address = env.NOTIFY_SOCKET;
    this.#options = options;
    this.#socket = isNotifyAddress(address)
      ? new NotifySocket({ address, clock, onError: (error) => logError(log, error) })
      : null;
    if (address && this.#socket === null)
      log.warn(
        `cannot notify the service manager: NOTIFY_SOCKET=${address} is neither a path nor an abstract name`,
      );
    this.#store = this.#socket === null ? null : new FdStore(this.#socket, options.inherited.keys());
    this.#watchdogMs = this.#socket === null ? null : watchdogMs(options);
  }

  /** It starts, and what it needs is not there yet. */
  waiting(status: string): void {
    this.#say({ STATUS: status });
    this.#extend(() => status);
  }

  /** It serves: from now on the manager watches it. */
  serving(watched: Watched): void {
    const status = watched.summary;
    this.#status = status;
    this.#watched = watched;
    this.#cancels.extension();
    this.#say({ MAINPID: this.#options.pid, READY: 1, STATUS: status });
    this.#feedWatchdog();
    this.#store?.removeRest();
    const { inherited, log } = this.#options;
    if (inherited.size > 0)
      log.warn(
        { names: inherited.keys() },
        "closed sockets of the service manager that no service publishes",
      );
    inherited.closeRest();
  }

  /** They outlive this process with the manager. */
  stores(sockets: Sockets): void {
    this.#store?.follow(sockets);
  }

  /** false: the manager keeps no sockets. True: they stay open for the process that it starts next. */
  keepSockets(): boolean {
    this.#store?.keep();
    return this.#store !== null;
  }

  /** In place of its predecessor, at whose end the manager would start another process. */
  becomesMain(): void {
    this.#say({ MAINPID: this.#options.pid });
  }

  reloading(): void {
    if (this.#socket === null || this.#isStopping || this.#reloads++ > 0) return;
    this.#say({ RELOADING: 1, MONOTONIC_USEC: `${monotonicMicroseconds()}`, STATUS: "reloading" });
  }

  reloaded(status: string): void {
    this.#status = status;
    if (this.#socket === null || this.#isStopping || --this.#reloads > 0) return;
    this.#say({ READY: 1, STATUS: this.#status });
  }

  /** @param status asked for again as long as it lasts */
  draining(status: () => string): void {
    this.#isStopping = true;
    this.#say({ STOPPING: 1, STATUS: status() });
    this.#extend(status);
  }

  /** It has handed over to a successor, which speaks from now on. */
  silence(): void {
    this.#isStopping = true;
    this.#cancels.watchdog();
    this.#cancels.extension();
    this.#store?.keep();
    this.#socket?.close();
    this.#socket = null;
  }

  #say(assignments: Readonly<Record<string, string | number>>): void {
    this.#socket?.send(assignments);
  }

  /** Only a process whose workers are alive gets more time. */
  #extend(status: () => string): void {
    if (this.#socket === null) return;
    this.#cancels.extension();
    this.#say({ EXTEND_TIMEOUT_USEC: EXTEND_BY_MS * US_PER_MS });
    this.#cancels.extension = this.#options.clock.after(EXTEND_EVERY_MS, () => {
      const extend = () => {
        this.#say({ STATUS: status() });
        this.#extend(status);
      };
      if (this.#watched === null) extend();
      else void this.#watched.ping().then(extend);
    });
  }

  #feedWatchdog(): void {
    if (this.#watchdogMs === null) return;
    this.#cancels.watchdog();
    void this.#ping();
    this.#cancels.watchdog = this.#options.clock.after(this.#watchdogMs / 2, () => this.#feedWatchdog());
  }

  async #ping(): Promise<void> {
    if (this.#isPinging) {
      if (!this.#hasHung)
        this.#options.log.error("a worker thread does not respond: the watchdog will end this process");
      this.#hasHung = true;
      return;
    }
    this.#isPinging = true;
    await this.#watched?.ping();
    this.#isPinging = false;
    this.#hasHung = false;
    this.#say({ WATCHDOG: 1, ...this.#newStatus() });
  }

  /** Services come and go by command and with other nodes, too. */
  #newStatus(): { STATUS?: string } {
    const status = this.#watched?.summary ?? this.#status;
    if (this.#isStopping || this.#reloads > 0 || status === this.#status) return {};
    this.#status = status;
    return { STATUS: status };
  }
}

function watchdogMs({ env, pid, isSuccessor }: ServiceManagerOptions): number | null {
  const microseconds = Number(env.WATCHDOG_USEC ?? 0);
  const isMeant = isSuccessor || !env.WATCHDOG_PID || Number(env.WATCHDOG_PID) === pid;
  return isMeant && Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / US_PER_MS : null;
}

function logError(log: Log, error: string | null): void {
  if (error === null) log.info("the service manager is notified again");
  else log.warn(error);
}
