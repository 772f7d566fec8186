/**
 * When the driver's device is checked beyond the regular interval, whether repairs are due, and the log: one line per
 * change. The kernel reports in bursts, and one check answers many reports.
 */
import type { DriverName, Fault, Look, RefusedPeer } from "../../overlay/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { OverlayLog } from "./overlay-log.ts";
import { RepairPace } from "./repair-pace.ts";

/** Reports of one change come one by one: an interface that goes down takes its routes along. */
const BURST_MS = 30;
/** Between looks while reports keep coming. */
const SPACING_MS = 500;

const FIND_OUT = "find out what keeps changing it (systemd-networkd, NetworkManager, a script)";

export interface UpkeepOptions {
  readonly device: string;
  readonly clock: Clock;
  readonly log: Pick<OverlayLog, "repaired" | "refused" | "recovered" | "blocked">;
  /** Echoes arrive from this peer: when they stop, path-log.ts logs it with the cause. */
  readonly isHeard: (peer: string) => boolean;
  /** Time to look at the device. */
  readonly look: () => void;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #pace = new RepairPace();
  #lookedMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #isClosed = false;
  #trouble: string | null = null;
  /** As last logged. */
  #error: string | null = null;
  /** By name: why a peer is not reached over the device. */
  #refused: ReadonlyMap<string, string> = new Map();

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /** What the driver cannot do now and why; it is tried again. null: nothing. */
  get trouble(): string | null {
    return this.#trouble;
  }

  get mayRepair(): boolean {
    return this.#pace.mayRepair(this.#nowMs);
  }

  refusalOf(peer: string): string | null {
    return this.#refused.get(peer) ?? null;
  }

  /** The kernel has reported something. */
  onReport(): void {
    this.#lookAt(this.#lookedMs + SPACING_MS);
  }

  /** The device and the routes have been looked at, and repaired as far as that was due. */
  onLooked({ repaired, held, failures, refused }: Look, driver: DriverName): void {
    this.#begin();
    if (repaired.length > 0) this.#tellRepaired(repaired);
    this.#logRefused(refused);
    if (failures.length > 0) return this.#fail(driver, failures[0]!);
    if (held.length > 0) {
      this.#trouble = `${this.#options.device}: ${textOf(held)}; ${FIND_OUT}`;
      return this.#lookAt(this.#pace.notBeforeMs);
    }
    this.#pace.onFine();
    if (this.#error !== null && repaired.length === 0) this.#options.log.recovered(this.#options.device);
    this.#trouble = null;
    this.#error = null;
  }

  /** The driver cannot be had, or does nothing. */
  onFailed(driver: DriverName, error: Error): void {
    this.#begin();
    this.#logRefused([]);
    this.#fail(driver, error.message);
  }

  /** A driver runs, or none is needed. */
  onOpened(): void {
    this.#pace.onFine();
    this.#trouble = null;
    this.#error = null;
  }

  /** The device is gone, which is to be repaired later. */
  onHeld(fault: Fault): void {
    this.onLooked({ repaired: [], held: [fault], failures: [], refused: [] }, "none");
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  get #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  #begin(): void {
    this.#lookedMs = this.#nowMs;
  }

  #fail(driver: DriverName, message: string): void {
    if (this.#error !== message) this.#options.log.refused(driver, message);
    this.#error = message;
    this.#trouble = message;
    this.#pace.onFailed(this.#nowMs);
    this.#lookAt(this.#pace.notBeforeMs);
  }

  #tellRepaired(repaired: readonly Fault[]): void {
    const nowMs = this.#nowMs;
    const times = this.#pace.onRepaired(repaired, nowMs);
    const waitMs = Math.max(0, this.#pace.notBeforeMs - nowMs);
    this.#options.log.repaired({ device: this.#options.device, what: textOf(repaired), times, waitMs });
  }

  #logRefused(refused: readonly RefusedPeer[]): void {
    const before = this.#refused;
    this.#refused = new Map(refused.map(({ name, reason }) => [name, reason]));
    for (const [name, reason] of this.#refused)
      if (before.get(name) !== reason && !this.#options.isHeard(name))
        this.#options.log.blocked(name, reason);
  }

  /** The earliest of what was asked for. */
  #lookAt(wantedMs: number): void {
    const dueMs = Math.max(wantedMs, this.#nowMs + BURST_MS);
    if (this.#isClosed || (this.#cancel !== null && this.#dueMs <= dueMs)) return;
    this.#cancel?.();
    this.#dueMs = dueMs;
    this.#cancel = this.#options.clock.after(Math.ceil(dueMs - this.#nowMs), () => {
      this.#cancel = null;
      this.#options.look();
    });
  }
}

function textOf(faults: readonly Fault[]): string {
  return faults.map(({ text }) => text).join(", ");
}
