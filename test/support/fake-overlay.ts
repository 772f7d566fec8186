/** Drivers of the overlay that remember what they are told, and paths that are up when a test says so. */

import type { OpenDrivers } from "../../src/node/overlay/open-driver.ts";
import type { PathWatch } from "../../src/node/overlay/overlay.ts";
import type { OverlayEnd, OverlayPeer } from "../../src/overlay/index.ts";

export class FakeDrivers {
  /** Why a driver cannot be had. */
  readonly refusals: { kernel?: string; userspace?: string } = {};
  /** "kernel 10.200.0.1" of those that run. */
  readonly running: string[] = [];
  readonly ends: OverlayEnd[] = [];
  peers: readonly OverlayPeer[] = [];
  applied = 0;
  readonly up = new Set<string>();
  #onPathChange = () => {};

  readonly open: OpenDrivers = {
    kernel: (end) => this.#open("kernel", end),
    userspace: (end) => this.#open("userspace", end),
  };

  readonly watchPaths = (_end: OverlayEnd, onChange: () => void): PathWatch => {
    this.#onPathChange = onChange;
    const figuresOf = (name: string) => ({ rttMs: name.length });
    return { setPeers: () => {}, isUp: (name) => this.up.has(name), figuresOf, close: () => {} };
  };

  setUp(name: string, isUp: boolean): void {
    if (isUp) this.up.add(name);
    else this.up.delete(name);
    this.#onPathChange();
  }

  #open(driver: "kernel" | "userspace", end: OverlayEnd) {
    const refusal = this.refusals[driver];
    if (refusal !== undefined) throw new Error(refusal);
    const name = `${driver} ${end.address}`;
    this.running.push(name);
    this.ends.push(end);
    return {
      figuresOf: () => ({ rejectedTotal: { replay: 1 } }),
      rejectedTotal: { "wrong-vni": 2 },
      apply: (peers: readonly OverlayPeer[]) => {
        this.peers = peers;
        this.applied++;
      },
      close: () => {
        this.running.splice(this.running.indexOf(name), 1);
      },
    };
  }
}
