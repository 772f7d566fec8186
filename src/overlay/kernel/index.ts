/** The `kernel` driver. */
export { IcmpFilter } from "./icmp-filter.ts";
export { KernelOverlay, type KernelOverlayOptions } from "./kernel-overlay.ts";
export type { RefusedPeer } from "./plan-entries.ts";
