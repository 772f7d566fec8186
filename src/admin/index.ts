/** The local HTTP interface of a running node: what the commands talk to. */
export { type AdminNode, adminApp } from "./app.ts";
export type * from "./mesh-api.ts";
export { meshApp } from "./mesh-routes.ts";
export * as refusals from "./refusals.ts";
export { type AdminServer, AdminSocketError, listenOnSocket } from "./socket.ts";
