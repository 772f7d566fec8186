/** Composition: what makes the folders a running node. The types of its reports are shared with the commands. */

export { OverlayError } from "../overlay/index.ts";
export { createLog, type Log } from "./log.ts";
export type { Node } from "./node.ts";
export { NodeError } from "./node-error.ts";
export type { NodeOptions, NodeParts, NodeProxy } from "./node-parts.ts";
export type * from "./overlay/overlay-status.ts";
export type { PeerPorts, PortTest } from "./port-test/judge.ts";
export type * from "./reload-report.ts";
export { type RunHooks, runNode } from "./run-node.ts";
export { startNode } from "./start-node.ts";
export type * from "./status.ts";
