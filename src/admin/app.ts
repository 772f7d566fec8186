/**
 * The admin API, version 1: JSON over HTTP. It only translates; what a request means is the node's business.
 *
 *     GET  /v1/openapi.json       these routes as OpenAPI 3.1
 *     GET  /v1/status             the whole status
 *     GET  /v1/version            answers also while the node starts
 *     POST /v1/reload[?dry-run=1] the report; 422 when the file was refused
 *     POST /v1/make-way           200: it stops, and gives up socket and state for another process; 409: it serves
 *     GET  /livez                 200: it works, its proxy workers too; 503: restart it
 *     GET  /readyz                200: it is ready for clients; 503 with the reason, as soon as it drains
 *     GET  /ports/PORT/ready[?protocol=udp]  200: this node can serve clients of that port; 503 with the reason
 */
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import type { Protocol } from "../model/index.ts";
import openApi from "./openapi.json" with { type: "json" };
import { DESCRIPTIONS } from "./openapi-parts.ts";
import { portQuery, understand } from "./request-schema.ts";

/** Longer than anything that a worker does. */
const PING_MS = 5_000;

export interface AdminNode {
  /** Why clients should not be sent to it; null: it serves. */
  readonly notReady: string | null;
  /** Another process waits for what this one holds. false: it does not stop. */
  makeWay(): boolean;
  /** Resolves when its proxy workers have answered. */
  ping(): Promise<void>;
  /** Why clients of this port should be sent to another node; null: they are served here. */
  whyPortNotReady(protocol: Protocol, port: number): string | null;
  status(): object;
  reload(isDryRun: boolean): Promise<{ readonly outcome: string }>;
}

/** @param findNode null while the node is starting */
export function adminApp(findNode: () => AdminNode | null, version: object): Hono {
  const app = new Hono();
  const node = () => {
    const found = findNode();
    if (found === null) throw new HTTPException(503, { message: "the node is starting" });
    return found;
  };
  app.get("/v1/openapi.json", (c) => c.json(openApi));
  app.get("/v1/version", DESCRIPTIONS.version, (c) => c.json(version));
  app.get("/v1/status", DESCRIPTIONS.status, (c) => c.json(node().status()));
  app.post("/v1/reload", DESCRIPTIONS.reload, async (c) => {
    const dryRun = c.req.query("dry-run");
    const report = await node().reload(dryRun !== undefined && dryRun !== "0");
    return c.json(report, report.outcome === "refused" ? 422 : 200);
  });
  app.post("/v1/make-way", (c) =>
    node().makeWay() ? c.json({ pid: process.pid }) : c.json({ error: "the node is not stopping" }, 409),
  );
  addProbes(app, findNode, node);
  app.notFound((c) => c.json({ error: `cannot ${c.req.method} ${c.req.path}: no such resource` }, 404));
  app.onError((error, c) =>
    c.json({ error: error.message }, error instanceof HTTPException ? error.status : 500),
  );
  return app;
}

/** For load balancers and orchestrators. A node that starts lives, and is not ready. */
function addProbes(app: Hono, findNode: () => AdminNode | null, node: () => AdminNode): void {
  app.get("/livez", DESCRIPTIONS.livez, async (c) => {
    const found = findNode();
    if (found === null || (await answersInTime(found))) return c.json({ live: true });
    return c.json({ error: `the proxy workers have not answered for ${PING_MS / 1_000} s` }, 503);
  });
  app.get("/readyz", DESCRIPTIONS.readyz, (c) => {
    const { notReady } = node();
    return notReady === null ? c.json({ ready: true }) : c.json({ error: notReady }, 503);
  });
  app.get("/ports/:port/ready", DESCRIPTIONS.portReady, (c) => {
    const { port, protocol } = understand(portQuery, { ...c.req.query(), port: c.req.param("port") });
    const reason = node().notReady ?? node().whyPortNotReady(protocol, port);
    return reason === null ? c.json({ ready: true }) : c.json({ error: reason }, 503);
  });
}

async function answersInTime(node: AdminNode): Promise<boolean> {
  let timer: Timer | null = null;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PING_MS);
  });
  const isAnswered = await Promise.race([node.ping().then(() => true), late]);
  if (timer !== null) clearTimeout(timer);
  return isAnswered;
}
