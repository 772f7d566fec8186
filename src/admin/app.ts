/**
 * The admin API, version 1: JSON over HTTP. It only translates; what a request means is the node's business.
 *
 *     GET  /v1/status             the whole status
 *     GET  /v1/version            answers also while the node starts
 *     POST /v1/reload[?dry-run=1] the report; 422 when the file was refused
 *     POST /v1/make-way           200: it stops, and gives up socket and state for another process; 409: it serves
 *     GET  /readyz                200: it is ready for clients; 503 with the reason
 */
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";

export interface AdminNode {
  /** Why clients should not be sent to it; null: it serves. */
  readonly notReady: string | null;
  /** Another process waits for what this one holds. false: it does not stop. */
  makeWay(): boolean;
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
  app.get("/v1/version", (c) => c.json(version));
  app.get("/v1/status", (c) => c.json(node().status()));
  app.post("/v1/reload", async (c) => {
    const dryRun = c.req.query("dry-run");
    const report = await node().reload(dryRun !== undefined && dryRun !== "0");
    return c.json(report, report.outcome === "refused" ? 422 : 200);
  });
  app.post("/v1/make-way", (c) =>
    node().makeWay() ? c.json({ pid: process.pid }) : c.json({ error: "the node is not stopping" }, 409),
  );
  app.get("/readyz", (c) => {
    const { notReady } = node();
    return notReady === null ? c.json({ ready: true }) : c.json({ error: notReady }, 503);
  });
  app.notFound((c) => c.json({ error: `cannot ${c.req.method} ${c.req.path}: no such resource` }, 404));
  app.onError((error, c) =>
    c.json({ error: error.message }, error instanceof HTTPException ? error.status : 500),
  );
  return app;
}
