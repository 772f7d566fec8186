/** The network between the nodes: who has which address, how two nodes reach each other, the drivers that do it. */
export { isInSubnet, macOf, prefixLengthOf, settleAddress } from "./address-plan.ts";
export type * from "./overlay.ts";
export { type Announcement, type PairPath, pairPath } from "./pair-path.ts";
