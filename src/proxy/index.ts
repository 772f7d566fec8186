/** The TCP/UDP splice proxy: routing table in, counters out. It knows nothing of files, gossip or HTTP. */
export { type Candidate, createBalancer, hashClient, hashText, orderOfPicks } from "./balance/index.ts";
export type { CounterState } from "./counter-state.ts";
export { DescriptorBudget, gossipConnectionsWithin } from "./listen/descriptor-budget.ts";
export { collapseListeners, type ListenerRange, rangesOf } from "./listen/listener-ranges.ts";
export type { BindError, ListenerReport, PreparedTable, TableChanges } from "./listen/listeners.ts";
export { excessListeners } from "./listen/wanted-listeners.ts";
export { EMPTY_TABLE, type InheritedProxy, type ProxyOptions, SpliceProxy } from "./proxy.ts";
export type { ProxyTotals } from "./read-totals.ts";
export type { RecordSink } from "./record-reader.ts";
export {
  ConnectionRecord,
  type EndReason,
  parseTaskText,
  RECORD_NOTHING,
  type RecordedTask,
  type RecordRule,
  type Stage,
} from "./table/connection-record.ts";
export * as counters from "./table/counters.ts";
export { addressesOf, loopOf, servesPort } from "./table/port-tasks.ts";
export type * from "./table/routing-table.ts";
export type * from "./table/status.ts";
export type { Handed, UdpState } from "./udp-state.ts";
