/** The drivers of src/overlay as a node runs them. */
import { isIP } from "node:net";
import {
  inspectEnd,
  KernelOverlay,
  type Look,
  type LookOptions,
  type OverlayEnd,
  type OverlayPeer,
  type SealedFigures,
  sealedOverheadBytes,
  UserspaceOverlay,
} from "../../overlay/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { OpenDrivers, OverlayDriver } from "./open-driver.ts";
import type { PeerFigures } from "./overlay-status.ts";
import { UnderlayGuard } from "./underlay-guard.ts";

/** @param owner "<cluster>/<node>": whose the devices are, also those that a killed node has left */
export function openDrivers(owner: string, clock: Clock): OpenDrivers {
  return {
    kernel: (end, { onReport, left }) =>
      new KernelDriver(KernelOverlay.open(end, { owner, onReport, isLeft: left !== undefined }), end),
    userspace: (end, { isEncrypting, onReport, left: tunFd }) =>
      new UserspaceDriver(UserspaceOverlay.open(end, { owner, isEncrypting, onReport, tunFd }), end, clock),
    removeLeftover: (end) => KernelOverlay.removeLeftover(end, { owner }),
    inspect: (end, peers) => inspectEnd(end, owner, peers),
  };
}

class KernelDriver implements OverlayDriver {
  readonly #overlay: KernelOverlay;
  readonly #guard: UnderlayGuard;

  constructor(overlay: KernelOverlay, { device, port, vni }: OverlayEnd) {
    this.#overlay = overlay;
    this.#guard = new UnderlayGuard(device, { port, vni });
  }

  get mtuBytes(): number {
    return this.#overlay.mtuBytes;
  }

  /** The kernel says how many, not why. */
  get rejectedTotal(): Readonly<Record<string, number>> {
    const { receiveErrors = 0, receiveDropped = 0 } = this.#overlay.counters() ?? {};
    const { filteredTotal } = this.#overlay;
    return {
      ...(receiveErrors > 0 && { malformed: receiveErrors }),
      ...(receiveDropped > 0 && { dropped: receiveDropped }),
      ...(filteredTotal > 0 && { filtered: filteredTotal }),
    };
  }

  apply(peers: readonly OverlayPeer[], innerMtuBytes: InnerMtus, options: LookOptions): Look {
    this.#guard.protect(peers);
    return this.#overlay.apply(peers, innerMtuBytes, options);
  }

  figuresOf(): Partial<PeerFigures> {
    return { notes: [this.#guard.problem ?? []].flat() };
  }

  close(): void {
    this.#guard.close();
    this.#overlay.close();
  }

  leave(): number {
    this.#guard.close();
    this.#overlay.leave();
    return -1;
  }
}

class UserspaceDriver implements OverlayDriver {
  readonly #overlay: UserspaceOverlay;
  readonly #clock: Clock;
  readonly #guard: UnderlayGuard;
  readonly #family: 4 | 6;

  constructor(overlay: UserspaceOverlay, { device, underlayAddress }: OverlayEnd, clock: Clock) {
    this.#overlay = overlay;
    this.#clock = clock;
    this.#family = isIP(underlayAddress) === 6 ? 6 : 4;
    this.#guard = new UnderlayGuard(device, null);
  }

  get mtuBytes(): number {
    return this.#overlay.mtuBytes;
  }

  get rejectedTotal(): Readonly<Record<string, number>> {
    return this.#overlay.counts.framesDropped;
  }

  apply(peers: readonly OverlayPeer[], innerMtuBytes: InnerMtus, options: LookOptions): Look {
    this.#guard.protect(peers);
    return this.#overlay.apply(peers, innerMtuBytes, options);
  }

  figuresOf(peer: string): Partial<PeerFigures> {
    const counts = this.#overlay.countsOf(peer);
    const notes = [this.#guard.problem ?? [], counts?.isSegmentationRefused ? CUT_HERE : []].flat();
    if (counts === null) return { notes };
    return {
      notes,
      rejectedTotal: counts.framesDropped,
      ...sealedFigures(counts.sealed, this.#family, this.#clock.nowMs()),
    };
  }

  ping(): Promise<void> {
    return this.#overlay.ping();
  }

  close(): Promise<void> {
    this.#guard.close();
    return this.#overlay.close();
  }

  leave(): Promise<number> {
    this.#guard.close();
    return this.#overlay.leave();
  }
}

type InnerMtus = ReadonlyMap<string, number>;

const CUT_HERE =
  "the path does not support UDP segmentation (UDP_SEGMENT): datagrams are sent one by one, which is slower";

function sealedFigures(sealed: SealedFigures | null, family: 4 | 6, nowMs: number): Partial<PeerFigures> {
  if (sealed === null) return {};
  const { keySinceMs, mtuBytes, rttMs, loss } = sealed;
  return {
    keyAgeMs: Math.max(0, nowMs - keySinceMs),
    ...(mtuBytes !== null && { mtuBytes: mtuBytes - sealedOverheadBytes(family) }),
    ...(rttMs !== null && { rttMs }),
    ...(loss !== null && { loss }),
  };
}
