/** A peer as `portmesh status` shows it, and why the overlay does not reach it. Pure. */
import type { EndProblem, PairPath } from "../../overlay/index.ts";
import type { Neighbour } from "./neighbours.ts";
import { NO_FIGURES, type OverlayPeerStatus, type PeerFigures } from "./overlay-status.ts";

const NO_ANSWER = "no reply over the overlay yet";

export interface SeenPeer {
  /** It answers over the overlay. */
  readonly isReached: boolean;
  /** Of the driver and its paths. */
  readonly figures: Partial<PeerFigures>;
  /** Why the device does not lead to it; null: it does. */
  readonly refusal: string | null;
}

export function peerStatus(
  node: string,
  { overlay, path, peer, isSilent, isOtherFamily }: Neighbour,
  { isReached, figures: seen, refusal }: SeenPeer,
): OverlayPeerStatus {
  const encryption = isReached && path.frames === "sealed" ? "frames" : "relay";
  const figures = { ...NO_FIGURES, ...(peer !== null && seen) };
  return {
    node,
    driver: isSilent ? null : overlay.driver,
    address: overlay.address,
    path: isReached ? "overlay" : "direct",
    encryption: path.isEncrypted ? encryption : "none",
    ...problemOf(path, isOtherFamily, peer !== null && !isReached),
    ...figures,
    notes: refusal === null ? figures.notes : [refusal, ...figures.notes],
  };
}

export function byNode(one: OverlayPeerStatus, other: OverlayPeerStatus): number {
  return one.node < other.node ? -1 : 1;
}

function problemOf(
  { problem }: PairPath,
  isOtherFamily: boolean,
  isUnheard: boolean,
): Pick<OverlayPeerStatus, "problem" | "problemKind"> {
  if (problem !== null) return { problem, problemKind: isOtherFamily ? "family" : "settings" };
  return isUnheard ? { problem: NO_ANSWER, problemKind: "silent" } : { problem: null, problemKind: null };
}

/** What the two nodes say does not fit is known; else it is one end, or the way between them. */
export function causeOf(neighbour: Neighbour, problems: () => readonly EndProblem[]): string {
  if (neighbour.path.problem !== null) return neighbour.path.problem;
  if (neighbour.overlay.driver === "none") return "it has no overlay";
  const [own] = problems();
  return own?.message ?? "echoes over it are not answered (run `portmesh doctor`)";
}
