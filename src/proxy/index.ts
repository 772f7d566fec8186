/** The TCP/UDP splice proxy: routing table in, counters out. It knows nothing of files, gossip or HTTP. */
export { type Candidate, createBalancer, hashClient, hashText, orderOfPicks } from "./balance/index.ts";
export { DescriptorBudget, gossipConnectionsWithin } from "./descriptor-budget.ts";
export { collapseListeners, type ListenerRange, rangesOf } from "./listener-ranges.ts";
export {
  type BindError,
  EMPTY_TABLE,
  excessListeners,
  type ListenerReport,
  type PreparedTable,
  type ProxyOptions,
  SpliceProxy,
  type TableChanges,
} from "./proxy.ts";
export { addressesOf, loopOf, servesPort } from "./table/port-tasks.ts";
export type * from "./table/routing-table.ts";
export type * from "./table/status.ts";
