/** The configuration file: text in, a frozen typed configuration or every problem with its place out. */
export {
  type ConfigChanges,
  compareConfigs,
  compareServiceRules,
  type SettingChange,
} from "./compare-configs.ts";
export type * from "./config.ts";
export { formatDuration } from "./duration.ts";
export { effectiveConfig } from "./effective-config.ts";
export { choice } from "./fields.ts";
export { jsonSchema } from "./json-schema.ts";
export { findUselessOptions, type ServiceOption } from "./option-rules.ts";
export { type ConfigCheck, type ConfigResult, parseConfig, type ReportProblem } from "./parse-config.ts";
export {
  collapsePorts,
  expandRanges,
  formatRange,
  isPort,
  type PortRange,
  parsePublish,
} from "./port-range.ts";
export { countProblems, formatProblem, type Problem, showValue } from "./problem.ts";
export { readConfigAside } from "./read-aside.ts";
export { type FileResult, readConfig } from "./read-config.ts";
export { bindList, prefixEntry, serviceName, serviceTable } from "./schema.ts";
export { parseTaskAddress, type TaskAddress } from "./task-address.ts";
export { type WatchedFile, type WatchOptions, type WatchTimer, watchConfig } from "./watch.ts";
