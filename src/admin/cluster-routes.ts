/**
 * The cluster over HTTP. It only translates: bodies are checked for shape; an ApiError becomes 404, 409 or 422 with
 * {error, code, about?}, an invalid body 400.
 *
 *     GET    /v1/services                               every service with its tasks, by name
 *     GET    /v1/services/NAME
 *     POST   /v1/services                               CreateService; 201 with the service
 *     POST   /v1/services/NAME/update                   UpdateService; the service
 *     DELETE /v1/services/NAME
 *     POST   /v1/services/NAME/tasks                    TaskDeclaration: a task of this node; 201 with the service
 *     DELETE /v1/services/NAME/tasks/TASK
 *     POST   /v1/services/NAME/tasks/TASK/drain|resume
 *     GET    /v1/nodes
 *     POST   /v1/nodes/NAME/drain|resume|forget
 *     POST   /v1/test-ports                             every port between this node and the others, in both directions
 *     GET    /v1/trace?port=8080&protocol=tcp&client=IP which task would be picked from here, and why
 */

import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import type { z } from "zod";
import { noSuchService } from "./api-errors.ts";
import { adminApp } from "./app.ts";
import type { ApiError, ClusterNode } from "./cluster-api.ts";
import { addEvents } from "./event-routes.ts";
import { addHandover } from "./handover-routes.ts";
import { addMetrics } from "./metrics-routes.ts";
import { DESCRIPTIONS } from "./openapi-parts.ts";
import { createBody, taskBody, traceQuery, understand, updateBody } from "./request-schema.ts";

/** A service that publishes every port of both protocols fits. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

type Find = () => ClusterNode;

/** The whole admin API of a node. @param findNode null while the node is starting */
export function clusterApp(findNode: () => ClusterNode | null, version: object): Hono {
  const app = adminApp(findNode, version);
  const node = () => {
    const found = findNode();
    if (found === null) throw new HTTPException(503, { message: "the node is starting" });
    return found;
  };
  app.use(
    "/v1/*",
    bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (c) => fail(c, 413, "the body is too large") }),
  );
  addServices(app, node);
  addTasks(app, node);
  addNodes(app, node);
  addEvents(app, node);
  addHandover(app, node);
  addMetrics(app, () => node().metrics);
  app.post("/v1/test-ports", DESCRIPTIONS.testPorts, async (c) => c.json(await node().testPorts()));
  app.get("/v1/trace", DESCRIPTIONS.trace, async (c) =>
    c.json(await node().trace(understand(traceQuery, c.req.query()))),
  );
  return app;
}

function addServices(app: Hono, node: Find): void {
  app.get("/v1/services", DESCRIPTIONS.services, (c) => c.json(node().services()));
  app.get("/v1/services/:name", DESCRIPTIONS.service, (c) => showService(c, node(), c.req.param("name")));
  app.post("/v1/services", DESCRIPTIONS.createService, async (c) => {
    const request = await readBody(c, createBody);
    const refusal = await node().commands.createService(request);
    return refusal === null ? showService(c, node(), request.name, 201) : refuse(c, refusal);
  });
  app.post("/v1/services/:name/update", DESCRIPTIONS.updateService, async (c) => {
    const name = c.req.param("name");
    const refusal = await node().commands.updateService(name, await readBody(c, updateBody));
    return refusal === null ? showService(c, node(), name) : refuse(c, refusal);
  });
  app.delete("/v1/services/:name", DESCRIPTIONS.removeService, async (c) =>
    done(c, await node().commands.removeService(c.req.param("name"))),
  );
}

function addTasks(app: Hono, node: Find): void {
  const task = "/v1/services/:name/tasks/:task";
  app.post("/v1/services/:name/tasks", DESCRIPTIONS.addTask, async (c) => {
    const name = c.req.param("name");
    const refusal = await node().commands.addTask(name, await readBody(c, taskBody));
    return refusal === null ? showService(c, node(), name, 201) : refuse(c, refusal);
  });
  app.delete(task, DESCRIPTIONS.removeTask, async (c) =>
    done(c, await node().commands.removeTask(c.req.param("name"), c.req.param("task"))),
  );
  app.post(`${task}/:directive{drain|resume}`, DESCRIPTIONS.directTask, async (c) => {
    const { name, task, directive } = c.req.param();
    return done(c, await node().commands.drainTask(name, task, directive === "drain"));
  });
}

function addNodes(app: Hono, node: Find): void {
  app.get("/v1/nodes", DESCRIPTIONS.nodes, (c) => c.json(node().nodes()));
  for (const directive of ["drain", "resume", "forget"] as const) {
    app.post(`/v1/nodes/:name/${directive}`, DESCRIPTIONS[`${directive}Node`], async (c) =>
      done(c, await node().commands.setNodeDirective(c.req.param("name"), directive)),
    );
  }
}

function showService(c: Context, node: ClusterNode, name: string, status: 200 | 201 = 200): Response {
  const service = node.service(name);
  return service === null ? refuse(c, noSuchService(name)) : c.json(service, status);
}

function done(c: Context, refusal: ApiError | null): Response {
  return refusal === null ? c.json({}) : refuse(c, refusal);
}

function refuse(c: Context, refusal: ApiError): Response {
  const statuses = { "not-found": 404, invalid: 422 } as const;
  const status = refusal.code === "not-found" || refusal.code === "invalid" ? statuses[refusal.code] : 409;
  return c.json(refusal, status);
}

function fail(c: Context, status: 400 | 413, error: string): Response {
  return c.json({ error }, status);
}

async function readBody<T extends z.ZodType>(c: Context, schema: T): Promise<z.output<T>> {
  const body: unknown = await c.req.json().catch(() => {
    throw new HTTPException(400, { message: "the body is not JSON" });
  });
  return understand(schema, body);
}
