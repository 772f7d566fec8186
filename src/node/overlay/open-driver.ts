/**
 * Which driver this node runs: the one that is asked for, or with `auto` what the bench shows to be best for relays.
 *
 * Encrypting, relays that are sealed themselves and go from node address to node address are about twice as fast as
 * sealed frames, with half the latency, and need nothing from the machine. A kernel device would do as well, but opens a
 * port for clear frames, whose filter cannot see who sends them. Not encrypting, the kernel's device costs nothing.
 * What is asked for and cannot be had is an error; what `auto` passes over is told, with what is missing.
 */
import type { OverlayConfig } from "../../config/index.ts";
import type { Driver, EndProblem, InspectedPeer, OverlayEnd, OverlayPeer } from "../../overlay/index.ts";
import type { PeerFigures } from "./overlay-status.ts";

/** A driver that runs. */
export interface OverlayDriver {
  /** The longest packet that its device takes. */
  readonly mtuBytes: number;
  /** These are the peers from now on. @param innerMtuBytes by name: the longest packets that get there, where known */
  apply(peers: readonly OverlayPeer[], innerMtuBytes: ReadonlyMap<string, number>): void;
  /** What it knows of a peer. */
  figuresOf(peer: string): Partial<PeerFigures>;
  /** Frames thrown away that no peer can be blamed for, by reason. */
  readonly rejectedTotal: Readonly<Record<string, number>>;
  close(): void | Promise<void>;
}

export type OpenDriver = (end: OverlayEnd, isEncrypting: boolean) => OverlayDriver;
/** Each throws an error whose message says what to grant or to change. */
export interface OpenDrivers {
  readonly kernel: OpenDriver;
  readonly userspace: OpenDriver;
  /** What this node has left behind when it was killed: the kernel's device, which still holds the port. */
  removeLeftover(end: OverlayEnd): void;
  /** What is wrong with the device and the routes to these peers, as the machine has them now. */
  inspect(end: OverlayEnd, peers: readonly InspectedPeer[]): readonly EndProblem[];
}

export interface OpenedDriver {
  readonly name: Driver;
  /** null: `none` has nothing to run. */
  readonly driver: OverlayDriver | null;
  /** What `auto` would have liked better, and why it cannot be had. */
  readonly passedOver: readonly { readonly name: Driver; readonly reason: string }[];
}

/** Throws what the driver throws, when it was asked for by name. */
export function openDriver(
  { driver: wanted, encrypt }: Pick<OverlayConfig, "driver" | "encrypt">,
  end: OverlayEnd,
  open: OpenDrivers,
): OpenedDriver {
  if (wanted === "kernel" || wanted === "userspace")
    return { name: wanted, driver: openClean(wanted, end, encrypt, open), passedOver: [] };
  const passedOver: { name: Driver; reason: string }[] = [];
  for (const name of wanted === "none" ? [] : preferred(encrypt)) {
    try {
      return { name, driver: openClean(name, end, encrypt, open), passedOver };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      passedOver.push({ name, reason: error.message });
    }
  }
  removeLeftover(end, open);
  return { name: "none", driver: null, passedOver };
}

/** The kernel driver finds its own leftover. */
function openClean(
  name: "kernel" | "userspace",
  end: OverlayEnd,
  encrypt: boolean,
  open: OpenDrivers,
): OverlayDriver {
  if (name === "userspace") removeLeftover(end, open);
  return open[name](end, encrypt);
}

/** Who may not do that has left nothing behind. */
function removeLeftover(end: OverlayEnd, open: OpenDrivers): void {
  try {
    open.removeLeftover(end);
  } catch {
    // what is in the way is told by whoever needs its place
  }
}

function preferred(encrypt: boolean): readonly "kernel"[] {
  return encrypt ? [] : ["kernel"];
}
