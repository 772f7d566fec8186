/** Drivers of the overlay that remember what they are told, and paths that are up when a test says so. */

import type { OpenDrivers } from "../../../src/node/overlay/open-driver.ts";
import type { Paths, PathWatchOptions } from "../../../src/node/overlay/path-watch.ts";
import type { EndProblem, Look, LookOptions, OverlayEnd, OverlayPeer } from "../../../src/overlay/index.ts";

const NOTHING_SEEN: Look = { repaired: [], held: [], failures: [], refused: [] };

export class FakeDrivers {
  /** Why a driver cannot be had. */
  readonly refusals: { kernel?: string | Error; userspace?: string | Error } = {};
  /** What apply gives. */
  look: (mayRepair: boolean) => Look = () => NOTHING_SEEN;
  /** Something has happened to the device. */
  report = () => {};
  /** "kernel 10.200.0.1" of those that run. */
  readonly running: string[] = [];
  readonly ends: OverlayEnd[] = [];
  peers: readonly OverlayPeer[] = [];
  innerMtuBytes: ReadonlyMap<string, number> = new Map();
  applied = 0;
  /** How often what a killed node has left was removed. */
  removals = 0;
  /** Thrown by apply. */
  error: Error | null = null;
  /** What the machine shows. */
  problems: readonly EndProblem[] = [];
  readonly up = new Set<string>();
  #onPathChange = () => {};

  readonly open: OpenDrivers = {
    kernel: (end, { onReport }) => this.#open("kernel", end, onReport),
    userspace: (end, { onReport }) => this.#open("userspace", end, onReport),
    removeLeftover: () => this.removals++,
    inspect: () => this.problems,
  };

  readonly watchPaths = ({ onChange }: Pick<PathWatchOptions, "onChange">): Paths => {
    this.#onPathChange = onChange;
    return {
      setPeers: () => {},
      setDeviceMtu: () => {},
      isUp: (name) => this.up.has(name),
      mtuOf: (name) => (this.up.has(name) ? 1400 : null),
      figuresOf: (name) => ({ rttMs: name.length }),
      heard: () => null,
      probe: () => {},
      error: null,
      close: () => {},
    };
  };

  setUp(name: string, isUp: boolean): void {
    if (isUp) this.up.add(name);
    else this.up.delete(name);
    this.#onPathChange();
  }

  #open(driver: "kernel" | "userspace", end: OverlayEnd, onReport: () => void) {
    const refusal = this.refusals[driver];
    if (refusal !== undefined) throw refusal instanceof Error ? refusal : new Error(refusal);
    this.report = onReport;
    const name = `${driver} ${end.address}`;
    this.running.push(name);
    this.ends.push(end);
    return {
      figuresOf: () => ({ rejectedTotal: { replay: 1 } }),
      rejectedTotal: { "wrong-vni": 2 },
      mtuBytes: 1450,
      apply: (
        peers: readonly OverlayPeer[],
        innerMtuBytes: ReadonlyMap<string, number>,
        how: LookOptions,
      ) => {
        if (this.error !== null) throw this.error;
        this.peers = peers;
        this.innerMtuBytes = innerMtuBytes;
        this.applied++;
        return this.look(how.mayRepair);
      },
      close: async () => {
        await Promise.resolve();
        this.running.splice(this.running.indexOf(name), 1);
      },
      leave: async () => {
        this.running.splice(this.running.indexOf(name), 1);
        return -1;
      },
    };
  }
}
