/** The network between nodes: drivers and what they are made of. */
export * from "./route/index.ts";
