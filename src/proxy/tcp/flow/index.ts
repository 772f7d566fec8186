/** Flows, one direction of a connection each: plain, sealing or opening. */
export * from "./flow.ts";
export { createFlowResources, type FlowResources } from "./flow-resources.ts";
export { OpeningFlow } from "./opening-flow.ts";
export { PipePool } from "./pipe-pool.ts";
export { PlainFlow } from "./plain-flow.ts";
export { SealingFlow } from "./sealing-flow.ts";
