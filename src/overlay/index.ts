/** The network between the nodes: who has which address, how two nodes reach each other, the drivers that do it. */
export { isInSubnet, macOf, prefixLengthOf, settleAddress } from "./address-plan.ts";
export type * from "./driver.ts";
export { type EndProblem, type InspectedPeer, inspectEnd } from "./inspect-end.ts";
export {
  type FilteredFrames,
  KernelOverlay,
  type KernelOverlayOptions,
  type RefusedPeer,
  UnderlayFilter,
} from "./kernel/index.ts";
export { OverlayError, type OverlayErrorCode } from "./overlay-error.ts";
export { readOverlayInterfaces } from "./overlay-interfaces.ts";
export { type Announcement, type PairPath, pairPath } from "./pair-path.ts";
export type { EchoCounts } from "./path/echo-exchange.ts";
export type { EchoHeard, EchoPeerEnd, PathReport } from "./path/echo-peer.ts";
export { EchoService, type EchoServiceOptions } from "./path/echo-service.ts";
export { EchoSocket } from "./path/echo-socket.ts";
export {
  innerMtu,
  outerMtu,
  sealedOverheadBytes,
  segmentBytes,
  udpOverheadBytes,
  vxlanOverheadBytes,
} from "./path/overhead.ts";
export { BASE_MTU, PathProbe, type PathProbeOptions, type PathState, type Probe } from "./path/path-probe.ts";
export { type Fault, type Look, type LookOptions, REMOVED } from "./reconcile/index.ts";
export * from "./rtnetlink/index.ts";
export { localUnderlayMtu, underlayMtu } from "./underlay-mtu.ts";
export * from "./userspace/index.ts";
