/** The configuration file: text in, a frozen typed configuration or every problem with its place out. */
export { type ConfigChanges, compareConfigs, type SettingChange } from "./compare-configs.ts";
export type * from "./config.ts";
export { effectiveConfig } from "./effective-config.ts";
export { jsonSchema } from "./json-schema.ts";
export {
  type ConfigCheck,
  type ConfigPlaces,
  type ConfigResult,
  parseConfig,
  type ReportProblem,
  type RightConfig,
  type Surroundings,
  type WrongConfig,
} from "./parse-config.ts";
export { countProblems, formatProblem, type Problem } from "./problem.ts";
export { readConfigAside } from "./read-aside.ts";
export {
  type FileResult,
  type ReadOptions,
  readConfig,
  readConfigText,
  STANDARD_INPUT,
} from "./read-config.ts";
export { MAX_FILE_BYTES } from "./size-limits.ts";
export { type WatchedFile, type WatchOptions, type WatchTimer, watchConfig } from "./watch.ts";
