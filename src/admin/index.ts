/** The local HTTP interface of a running node: what the commands talk to. */

export * as apiErrors from "./api-errors.ts";
export { type AdminNode, adminApp } from "./app.ts";
export type * from "./cluster-api.ts";
export { clusterApp } from "./cluster-routes.ts";
export type * from "./event-api.ts";
export { type HandoverCommands, handoverApp, type UpgradeResult } from "./handover-routes.ts";
export type { DescribedHandler } from "./openapi-parts.ts";
export {
  type AdminServer,
  AdminSocketError,
  besideOf,
  listenBeside,
  listenOnFirst,
  listenOnSocket,
} from "./socket.ts";
export type { Handle as AdminTcpHandle } from "./tcp/connection.ts";
export { type AdminTcpRules, AdminTcpServer } from "./tcp/server.ts";
