/** rtnetlink messages: interfaces, addresses, neighbours, forwarding entries, routes, traffic control. */
export * from "./address-message.ts";
export { decodeNetlinkOutcome } from "./error-message.ts";
export * from "./event-filter.ts";
export type { LinkCounters } from "./link-counters.ts";
export * from "./link-message.ts";
export * from "./message.ts";
export * from "./neighbour-message.ts";
export * from "./nft-message.ts";
export * from "./route-message.ts";
export * from "./rule-message.ts";
export * from "./traffic-message.ts";
export { VXLAN_DF_SET, type VxlanLink } from "./vxlan-link.ts";
