/** The `kernel` driver. */

export type { RefusedPeer } from "../plan-entries.ts";
export { KernelOverlay, type KernelOverlayOptions } from "./kernel-overlay.ts";
export { type FilteredFrames, UnderlayFilter } from "./underlay-filter.ts";
