/** The network between the nodes: who has which address, how two nodes reach each other, the drivers that do it. */
export { chooseAddress, isInSubnet, macOf, prefixLengthOf } from "./address-plan.ts";
export type * from "./driver.ts";
export { type EndProblem, type InspectedPeer, inspectEnd } from "./inspect-end.ts";
export {
  type FilteredFrames,
  KernelOverlay,
  type KernelOverlayOptions,
  type RefusedPeer,
  UnderlayFilter,
} from "./kernel/index.ts";
export { OverlayError } from "./overlay-error.ts";
export { readOverlayInterfaces } from "./overlay-interfaces.ts";
export { type Announcement, type PairPath, pairPath } from "./pair-path.ts";
export type { EchoHeard, EchoPeerEnd } from "./path/echo-peer.ts";
export { EchoService } from "./path/echo-service.ts";
export { EchoSocket } from "./path/echo-socket.ts";
export {
  sealedOverheadBytes,
  vxlanOverheadBytes,
} from "./path/overhead.ts";
export { type Fault, type Look, type LookOptions, REMOVED } from "./reconcile/index.ts";
export * from "./rtnetlink/index.ts";
export { localUnderlayMtu, underlayMtu } from "./underlay-mtu.ts";
export * from "./userspace/index.ts";
