/** The driver that carries packets between a TUN device and UDP in a thread of this process. */
export type { PeerCounts, SealedFigures } from "./counters.ts";
export { UserspaceOverlay, type UserspaceOverlayOptions } from "./userspace-overlay.ts";
