/** The log of finished connections: which are recorded, in which format, how many a second. */
export { ConnectionLog } from "./connection-log.ts";
export { recordRule, recordSettings } from "./record-rule.ts";
