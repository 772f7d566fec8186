/**
 * Which driver this node runs: the one that is asked for, or with `auto` what the bench shows to be best for relays.
 *
 * Encrypting, relays that are sealed themselves and go from node address to node address are about twice as fast as
 * sealed frames, with half the latency, and need nothing from the machine. A kernel device would do as well, but opens a
 * port for clear frames, whose filter cannot see who sends them. Not encrypting, the kernel's device costs nothing.
 * A configured driver that is unavailable is an error; a driver that `auto` passes over is logged, with what is missing.
 * A name or port that another program holds at the moment is neither: this node waits for it.
 */
import type { OverlayConfig } from "../../config/index.ts";
import {
  type DriverName,
  type EndProblem,
  type InspectedPeer,
  type Look,
  type LookOptions,
  type OverlayEnd,
  OverlayError,
  type OverlayPeer,
} from "../../overlay/index.ts";
import type { PeerFigures } from "./overlay-status.ts";

/** A driver that runs. */
export interface OverlayDriver {
  /** The longest packet that its device takes. */
  readonly mtuBytes: number;
  /**
   * These are the peers from now on, and the device is what it has to be. Throws OverlayError "device-gone" when the
   * driver has to be opened again, others when its device cannot be had now.
   * @param innerMtuBytes by name: the longest packets that get there, where known
   */
  apply(
    peers: readonly OverlayPeer[],
    innerMtuBytes: ReadonlyMap<string, number>,
    options: LookOptions,
  ): Look;
  /** What it knows of a peer. */
  figuresOf(peer: string): Partial<PeerFigures>;
  /** Frames thrown away that no peer can be blamed for, by reason. */
  readonly rejectedTotal: Readonly<Record<string, number>>;
  /** Resolves when its thread has answered; absent: it has none. */
  ping?(): Promise<void>;
  close(): void | Promise<void>;
  /** As `close`, but the device stays, for another process: the descriptor that keeps it; -1: it needs none. */
  leave(): number | Promise<number>;
}

export interface OpenDriverOptions {
  readonly isEncrypting: boolean;
  /** Something has happened to the device: it has to be applied again. */
  readonly onReport: () => void;
  /** What `leave` of a driver of that kind and end has returned, in this process or another; absent: nothing. */
  readonly left?: number | undefined;
}

/** A device that a driver has left. */
export interface LeftDevice {
  readonly driver: DriverName;
  readonly end: OverlayEnd;
  /** -1: it needs none. */
  readonly fd: number;
}

export type OpenDriver = (end: OverlayEnd, options: OpenDriverOptions) => OverlayDriver;
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
  readonly name: DriverName;
  /** null: `none` has nothing to run, or what the driver needs is taken. */
  readonly driver: OverlayDriver | null;
  /** What the driver needs and another program holds; null: nothing. */
  readonly obstacle: OverlayError | null;
  /** What `auto` would have liked better, and why it cannot be had. */
  readonly passedOver: readonly { readonly name: DriverName; readonly reason: string }[];
}

/** Throws what the driver throws, when it was asked for by name and waiting would not do. */
export function openDriver(
  { driver: wanted, encrypt }: Pick<OverlayConfig, "driver" | "encrypt">,
  end: OverlayEnd,
  open: OpenDrivers,
  onReport: () => void,
  left: LeftDevice | null = null,
): OpenedDriver {
  const options = { isEncrypting: encrypt, onReport, left };
  if (wanted === "kernel" || wanted === "userspace") return openClean(wanted, end, options, open);
  const passedOver: { name: DriverName; reason: string }[] = [];
  for (const name of wanted === "none" ? [] : preferred(encrypt)) {
    try {
      return { ...openClean(name, end, options, open), passedOver };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      passedOver.push({ name, reason: error.message });
    }
  }
  removeLeftover(end, open);
  return { name: "none", driver: null, obstacle: null, passedOver };
}

/** The kernel driver finds its own leftover. */
function openClean(
  name: "kernel" | "userspace",
  end: OverlayEnd,
  { left, ...others }: Omit<OpenDriverOptions, "left"> & { readonly left: LeftDevice | null },
  open: OpenDrivers,
): OpenedDriver {
  const isSame = left?.driver === name && Bun.deepEquals(left.end, end);
  const options = isSame ? { ...others, left: left.fd } : others;
  if (name === "userspace") removeLeftover(end, open);
  try {
    return { name, driver: open[name](end, options), obstacle: null, passedOver: [] };
  } catch (error) {
    if (!(error instanceof OverlayError && error.isTransient)) throw error;
    return { name, driver: null, obstacle: error, passedOver: [] };
  }
}

/** Who may not do that has left nothing behind. */
function removeLeftover(end: OverlayEnd, open: OpenDrivers): void {
  try {
    open.removeLeftover(end);
  } catch {
    // the driver that needs its place reports what is in the way
  }
}

function preferred(encrypt: boolean): readonly "kernel"[] {
  return encrypt ? [] : ["kernel"];
}
