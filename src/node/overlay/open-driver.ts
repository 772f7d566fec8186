/**
 * Which driver this node runs: the one that is asked for, or with `auto` the best that the machine allows.
 *
 * `auto` takes what is fastest: whole super-packets are sealed in user space, plain frames are the kernel's affair.
 * What is asked for and cannot be had is an error; what `auto` passes over is told, with what is missing.
 */
import type { OverlayConfig } from "../../config/index.ts";
import type { Driver, OverlayEnd, OverlayPeer } from "../../overlay/index.ts";
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
export type OpenDrivers = Readonly<Record<Exclude<Driver, "none">, OpenDriver>>;

export interface OpenedDriver {
  readonly name: Driver;
  /** null: `none` has nothing to run. */
  readonly driver: OverlayDriver | null;
  /** What `auto` would have liked better, and why it cannot be had. */
  readonly passedOver: readonly { readonly name: Driver; readonly reason: string }[];
}

/** Throws what the driver throws, when it was asked for by name. */
export function openDriver(
  config: Pick<OverlayConfig, "driver" | "encrypt">,
  end: OverlayEnd,
  open: OpenDrivers,
): OpenedDriver {
  if (config.driver === "none") return { name: "none", driver: null, passedOver: [] };
  if (config.driver !== "auto")
    return { name: config.driver, driver: open[config.driver](end, config.encrypt), passedOver: [] };
  const passedOver: { name: Driver; reason: string }[] = [];
  for (const name of preferred(config.encrypt)) {
    try {
      return { name, driver: open[name](end, config.encrypt), passedOver };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      passedOver.push({ name, reason: error.message });
    }
  }
  return { name: "none", driver: null, passedOver };
}

function preferred(encrypt: boolean): readonly Exclude<Driver, "none">[] {
  return encrypt ? ["userspace"] : ["kernel", "userspace"];
}
