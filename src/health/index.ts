/** Whether tasks work, by probes that this node makes. */
export { type Checked, Checks } from "./checks.ts";
export { down, type ProbeResult } from "./probe-result.ts";
export { probeTask } from "./probes/probe-task.ts";
export type { Health } from "./rise-fall.ts";
