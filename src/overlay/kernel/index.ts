/** The `kernel` driver. */

export { KernelOverlay, type KernelOverlayOptions } from "./kernel-overlay.ts";
export type { RefusedPeer } from "./plan-entries.ts";
export { type FilteredFrames, UnderlayFilter } from "./underlay-filter.ts";
