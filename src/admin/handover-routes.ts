/**
 * The handover to another process over HTTP.
 *
 *     POST /v1/handover          {socket} where a new process can take over from this one; 409 with the reason
 *     POST /v1/handover/failed   {reason} of a new process that cannot
 *     POST /v1/upgrade           {file?} starts a new process, which takes over; {pid} when it serves, 409 with the reason
 *
 * The first two are also on the socket in data_dir.
 */
import { Hono } from "hono";
import { z } from "zod";

export type UpgradeResult =
  | { readonly pid: number }
  /** `retryAfterMs` null: trying again would not help. */
  | { readonly reason: string; readonly retryAfterMs: number | null };

export interface HandoverCommands {
  open(): { readonly socket: string } | { readonly reason: string };
  onFailed(reason: string): void;
  /** @param file path of the executable; null: the one that runs */
  upgrade(file: string | null): Promise<UpgradeResult>;
}

const upgradeBody = z.object({ file: z.string().nullable().default(null) });
const failedBody = z.object({ reason: z.string() });

interface HandoverNode {
  readonly handover: HandoverCommands;
}

type Find = () => HandoverNode;

/** What a successor that does not see the admin socket needs. */
export function handoverApp(node: HandoverNode): Hono {
  const app = new Hono();
  addTakeover(app, () => node);
  return app;
}

export function addHandover(app: Hono, node: Find): void {
  addTakeover(app, node);
  app.post("/v1/upgrade", async (c) => {
    const body = upgradeBody.safeParse(await c.req.json().catch(() => null));
    if (!body.success) return c.json({ error: "the body must be {file?: string}" }, 400);
    const result = await node().handover.upgrade(body.data.file);
    if ("pid" in result) return c.json(result);
    return c.json({ error: result.reason, retryAfterMs: result.retryAfterMs }, 409);
  });
}

function addTakeover(app: Hono, node: Find): void {
  app.post("/v1/handover", (c) => {
    const opened = node().handover.open();
    return "socket" in opened ? c.json(opened) : c.json({ error: opened.reason }, 409);
  });
  app.post("/v1/handover/failed", async (c) => {
    const body = failedBody.safeParse(await c.req.json().catch(() => null));
    if (body.success) node().handover.onFailed(body.data.reason);
    return c.json({}, body.success ? 200 : 400);
  });
}
