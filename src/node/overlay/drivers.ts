/** The drivers of src/overlay as a node runs them. */
import { KernelOverlay, type OverlayEnd, type OverlayPeer } from "../../overlay/index.ts";
import type { OpenDrivers, OverlayDriver } from "./open-driver.ts";
import type { PeerFigures } from "./overlay-status.ts";

/** @param owner "<cluster>/<node>": whose the devices are, also those that a killed node has left */
export function openDrivers(owner: string): OpenDrivers {
  return {
    kernel: (end) => new KernelDriver(end, owner),
    userspace: () => {
      throw new Error("this version does not have it yet");
    },
  };
}

class KernelDriver implements OverlayDriver {
  readonly #overlay: KernelOverlay;
  #refused: ReadonlyMap<string, string> = new Map();

  constructor(end: OverlayEnd, owner: string) {
    this.#overlay = KernelOverlay.open(end, { owner });
  }

  get mtuBytes(): number {
    return this.#overlay.mtuBytes;
  }

  /** The kernel says how many, not why. */
  get rejectedTotal(): Readonly<Record<string, number>> {
    const { receiveErrors = 0, receiveDropped = 0 } = this.#overlay.counters() ?? {};
    return {
      ...(receiveErrors > 0 && { malformed: receiveErrors }),
      ...(receiveDropped > 0 && { dropped: receiveDropped }),
    };
  }

  apply(peers: readonly OverlayPeer[], innerMtuBytes: ReadonlyMap<string, number>): void {
    const refused = this.#overlay.apply(peers, innerMtuBytes);
    this.#refused = new Map(refused.map(({ name, reason }) => [name, reason]));
  }

  figuresOf(peer: string): Partial<PeerFigures> {
    const reason = this.#refused.get(peer);
    return reason === undefined ? {} : { notes: [reason] };
  }

  close(): void {
    this.#overlay.close();
  }
}
