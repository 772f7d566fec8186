/** What a service, a port and a task are, and every rule about them. Imports nothing but formats of addresses. */
export { canonicalAddress, canonicalPrefix } from "./address.ts";
export { canonicalBind } from "./bind-rule.ts";
export * from "./check.ts";
export * from "./check-schema.ts";
export * from "./client-limits.ts";
export { comparePorts, compareRules, compareSpecs, compareValue, missingIn } from "./compare-specs.ts";
export { formatDuration, parseDuration } from "./duration.ts";
export * from "./event.ts";
export * from "./fields.ts";
export { selects, sortedLabels } from "./labels.ts";
export * from "./limits.ts";
export * from "./names.ts";
export {
  findUselessCheckOptions,
  findUselessOptions,
  NAMES_ARE_OF_TLS,
  type ServiceOption,
  whyNoCheckPort,
} from "./option-rules.ts";
export { canPortsConflict } from "./port-conflict.ts";
export {
  collapsePorts,
  expandRanges,
  formatRange,
  isPort,
  type PortRange,
  PUBLISH_PATTERN,
  parsePublish,
} from "./port-range.ts";
export {
  canonicalHostName,
  findByServerName,
  formatServerNames,
  namesOfPort,
  serverNamesOf,
} from "./server-names.ts";
export * from "./service.ts";
export * from "./service-schema.ts";
export { findSizeFault } from "./service-size.ts";
export { MAX_SHOWN_LENGTH, showValue } from "./show-value.ts";
export { parseTaskAddress, type TaskAddress } from "./task-address.ts";
