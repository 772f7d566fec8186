/** The `kernel` driver. */
export { KernelOverlay, type KernelOverlayOptions, type RefusedPeer } from "./kernel-overlay.ts";
