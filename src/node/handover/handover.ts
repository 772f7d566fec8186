/** The handover as a node offers it to commands and to a successor. */
import type { HandoverCommands, UpgradeResult } from "../../admin/index.ts";
import { pause } from "../../sys/clock.ts";
import { type HandoverHost, type Opened, Predecessor } from "./predecessor.ts";
import type { PredecessorStatus } from "./predecessors.ts";
import { type StartCommand, spawnSuccessor } from "./spawn-successor.ts";

/** From its start until it serves: it reads its file first, which takes seconds when it is very large. */
const START_MS = 60_000;
/** Processes of earlier takeovers with open connections. Each takes the memory of a process. */
export const MAX_DRAINING = 8;

/** The kernel ends a PID namespace with its first process. */
const INIT_REASON =
  "process 1 of a container cannot be replaced in it: " +
  "start a second container with `run --take-over`, on the same data_dir and with the host's network";

export interface HandoverOptions extends Omit<HandoverHost, "leave" | "objection"> {
  readonly adminSocket: string;
  /** null: not as `portmesh run`. */
  readonly command: StartCommand | null;
  readonly isDraining: () => boolean;
  /** Those that still drain. */
  readonly predecessors: () => readonly PredecessorStatus[];
  readonly leave: () => Promise<void>;
}

export class Handover implements HandoverCommands {
  readonly #options: HandoverOptions;
  readonly #predecessor: Predecessor;
  readonly #left = Promise.withResolvers<void>();
  #isUpgrading = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#predecessor = new Predecessor({
      ...options,
      objection: () => this.#objection(),
      leave: async () => {
        this.#left.resolve();
        await options.leave();
      },
    });
  }

  /** Another process runs the node. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  open(): Opened {
    return this.#predecessor.open();
  }

  onFailed(reason: string): void {
    this.#predecessor.onFailed(reason);
  }

  /** Resolves when the successor serves, or has failed. */
  async upgrade(file: string | null): Promise<UpgradeResult> {
    const { command, predecessors } = this.#options;
    const reason = this.#isUpgrading ? "another upgrade is under way" : this.#objection();
    if (reason !== null) {
      const draining = predecessors();
      const isFull = draining.length >= MAX_DRAINING;
      return { reason, retryAfterMs: isFull ? Math.min(...draining.map(({ leftMs }) => leftMs)) : null };
    }
    if (command === null)
      return {
        reason: "this node was not started by `portmesh run`: restart its program",
        retryAfterMs: null,
      };
    if (isContainerInit()) return { reason: INIT_REASON, retryAfterMs: null };
    this.#isUpgrading = true;
    try {
      return await this.#runSuccessor(command, file);
    } catch (error) {
      const { message } = error as Error;
      return { reason: `cannot start ${file ?? command.program[0]}: ${message}`, retryAfterMs: null };
    } finally {
      this.#isUpgrading = false;
    }
  }

  async #runSuccessor(command: StartCommand, file: string | null): Promise<UpgradeResult> {
    const { adminSocket, clock, log } = this.#options;
    this.#predecessor.forgetFailure();
    const successor = await spawnSuccessor(command, file, adminSocket, clock);
    log.info({ successor: successor.pid }, `started process ${successor.pid} to take over`);
    const failure = await Promise.race([
      this.left.then(() => null),
      successor.ended,
      pause(clock, START_MS).then(() => `it did not serve within ${START_MS / 1_000} s`),
    ]);
    if (failure === null) return { pid: successor.pid };
    successor.kill();
    const cause = this.#predecessor.lastFailure;
    const reason = cause === null ? `${failure}: see the log of the node` : `${cause} (${failure})`;
    return {
      reason: `process ${successor.pid} failed, process ${process.pid} continues: ${reason}`,
      retryAfterMs: null,
    };
  }

  #objection(): string | null {
    const { isDraining, predecessors } = this.#options;
    if (isDraining()) return "this node is stopping";
    const draining = predecessors();
    if (draining.length < MAX_DRAINING) return null;
    return `${draining.length} earlier processes still drain: ${draining.map(describe).join("; ")}`;
  }
}

function isContainerInit(): boolean {
  return process.pid === 1;
}

function describe({ pid, openConnections, leftMs }: PredecessorStatus): string {
  return `pid ${pid}: ${openConnections} connections, ${Math.ceil(leftMs / 1_000)} s left`;
}
