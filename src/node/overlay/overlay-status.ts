/** The overlay as `portmesh status` shows it. Plain values. */
import type { OverlayConfig } from "../../config/index.ts";
import type { DriverName, EndProblem } from "../../overlay/index.ts";

export interface OverlayStatus {
  readonly driver: DriverName;
  /** What the file asks for. */
  readonly wanted: OverlayConfig["driver"];
  /** What `auto` would have liked better, and what is missing for it. */
  readonly passedOver: readonly { readonly name: DriverName; readonly reason: string }[];
  /** Overlay address of this node; null: none. */
  readonly address: string | null;
  /** Network interface; null: none. */
  readonly device: string | null;
  /** UDP. */
  readonly port: number;
  readonly vni: number;
  readonly subnet: string;
  readonly encrypt: boolean;
  /** Version of the system's libcrypto, which seals short messages; null: it has none, or nothing is encrypted. */
  readonly libcrypto: string | null;
  /** What is wrong with this node's own end now; [] when all is well, or there is none. */
  readonly problems: readonly EndProblem[];
  /** By name, without this node. */
  readonly peers: readonly OverlayPeerStatus[];
  /** Frames dropped that belong to no peer, since the driver runs, by reason. */
  readonly rejectedTotal: Readonly<Record<string, number>>;
}

export interface OverlayPeerStatus {
  readonly node: string;
  /** Its driver; null: it has not said. */
  readonly driver: DriverName | null;
  /** Its overlay address; null: none, or not yet. */
  readonly address: string | null;
  /** How relays go now: inside the overlay, or from node address to node address. */
  readonly path: "overlay" | "direct";
  /** What encrypts between the two: the overlay's frames, the relay itself, nothing. */
  readonly encryption: "frames" | "relay" | "none";
  /** Why the overlay is not used although both have one; null: it is, or one of both has none. */
  readonly problem: string | null;
  /** `settings`: what both say does not fit; `family`: node addresses are IPv4 and IPv6; `silent`: no echo. null: none. */
  readonly problemKind: "settings" | "family" | "silent" | null;
  /** Of the key that its frames are sealed with; null: they are not. */
  readonly keyAgeMs: number | null;
  /** The longest IP packet that gets there over the overlay; null: not known. */
  readonly mtuBytes: number | null;
  readonly rttMs: number | null;
  /** Share of what was sent that did not arrive, 0…1; null: not known. */
  readonly loss: number | null;
  /** Its frames that were thrown away here, by reason. */
  readonly rejectedTotal: Readonly<Record<string, number>>;
  /** What the way to it does not allow: "segmentation refused: single datagrams". */
  readonly notes: readonly string[];
}

/** What a driver and the watch of its paths know of a peer. */
export type PeerFigures = Pick<
  OverlayPeerStatus,
  "keyAgeMs" | "mtuBytes" | "rttMs" | "loss" | "rejectedTotal" | "notes"
>;

export const NO_FIGURES: PeerFigures = {
  keyAgeMs: null,
  mtuBytes: null,
  rttMs: null,
  loss: null,
  rejectedTotal: {},
  notes: [],
};
