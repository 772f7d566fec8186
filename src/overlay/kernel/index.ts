/** The `kernel` driver. */
export { type FilteredFrames, IcmpFilter } from "./icmp-filter.ts";
export { KernelOverlay, type KernelOverlayOptions } from "./kernel-overlay.ts";
export type { RefusedPeer } from "./plan-entries.ts";
