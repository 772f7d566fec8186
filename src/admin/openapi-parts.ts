/**
 * Words and schemas of the routes, of which build/openapi makes openapi.json; a test holds them equal. Schemas of requests are
 * those that check them; those of answers name what clients rely on, and newer versions may add to them.
 */
import type { MiddlewareHandler } from "hono";
import { z } from "zod";
import { EVENT_KINDS, MAX_EVENTS, nodeEvent, serviceSpec } from "../model/index.ts";
import { createBody, taskBody, updateBody } from "./request-schema.ts";

/** As in OpenAPI, with zod schemas in the place of JSON schemas. */
export interface RouteDescription {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly body?: z.ZodType;
  readonly responses: Responses;
  readonly isOpen?: boolean;
}

interface Parameter {
  readonly in: "path" | "query";
  readonly name: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: object;
}

interface Described {
  readonly description: string;
  /** null: a stream of events. */
  readonly schema: z.ZodType | null;
}

/** A handler that passes on and carries the description. */
export type DescribedHandler = MiddlewareHandler & { readonly description: RouteDescription };

type Responses = Readonly<Record<number, Described>>;
type Options = Pick<RouteDescription, "parameters" | "body" | "isOpen">;

const error = z.looseObject({ error: z.string() }).meta({ ref: "Error", description: "Why, for people." });
const apiError = z
  .looseObject({
    error: z.string(),
    code: z.enum([
      "not-found",
      "exists",
      "port-taken",
      "declared-by-file",
      "changed",
      "alive",
      "not-kept",
      "invalid",
    ]),
  })
  .meta({ ref: "ApiError", description: "Nothing has changed." });
const empty = z.strictObject({});
const stamp = z.looseObject({ counter: z.int(), node: z.string() });
const task = z
  .looseObject({ ...taskBody.shape, node: z.string(), origin: z.enum(["file", "api"]), state: z.string() })
  .meta({ ref: "Task" });
const service = z
  .looseObject({
    name: z.string(),
    spec: serviceSpec,
    origin: z.enum(["file", "api"]),
    stamp,
    createdAtMs: z.number(),
    updatedAtMs: z.number(),
    tasks: z.array(task),
    conflicts: z.array(
      z.looseObject({
        service: z.string(),
        protocol: z.enum(["tcp", "udp"]),
        port: z.int(),
        with: z.string(),
      }),
    ),
  })
  .meta({ ref: "Service" });
const node = z
  .looseObject({
    name: z.string(),
    address: z.string().nullable(),
    state: z.enum(["alive", "suspect", "failed", "left"]),
    isSelf: z.boolean(),
    isDraining: z.boolean(),
    labels: z.record(z.string(), z.string()),
    tasks: z.int(),
    version: z.string().nullable(),
    rttMs: z.number().nullable(),
  })
  .meta({ ref: "Node" });
const trace = z
  .looseObject({
    port: z.int(),
    protocol: z.enum(["tcp", "udp"]),
    node: z.string(),
    services: z.array(
      z.looseObject({
        service: z.string(),
        listeners: z.array(z.string()),
        pick: z.looseObject({ node: z.string(), task: z.string() }).nullable(),
        reason: z.string(),
      }),
    ),
  })
  .meta({ ref: "Trace" });
const report = z
  .looseObject({ outcome: z.enum(["applied", "unchanged", "refused"]), isDryRun: z.boolean() })
  .meta({ ref: "ReloadReport" });
const eventList = z
  .object({
    events: z.array(nodeEvent),
    unanswered: z.array(z.object({ node: z.string(), reason: z.string() })),
  })
  .meta({ ref: "EventList" });

const name = inPath("name", "Of the service.");
const taskName = inPath("task", "Of a task of this node.");
const nodeName = inPath("name", "Of the node.");

const NOT_FOUND: Responses = { 404: answer("It does not exist.", apiError) };
const REFUSED: Responses = { ...NOT_FOUND, 409: answer("It is in the way of something else.", apiError) };
const INVALID: Responses = {
  400: answer("The request is wrong.", error),
  422: answer("It cannot work.", apiError),
};
const NOT_READY: Responses = { 503: answer("Not now; the reason.", error) };
const ready = { 200: answer("Yes.", z.looseObject({})), ...NOT_READY };

/** By route; schemas are converted when the document is made. */
export const DESCRIPTIONS = {
  version: describe("version", "Version of the node", {
    200: answer("Also while it starts.", z.looseObject({})),
  }),
  status: describe("status", "Everything this node knows of itself and its cluster", {
    200: answer("The status.", z.looseObject({ node: z.string(), state: z.string() })),
    ...NOT_READY,
  }),
  reload: describe(
    "reload",
    "Read the configuration file again",
    {
      200: answer("What has changed.", report),
      422: answer("The file was refused; nothing has changed.", report),
    },
    { parameters: [inQuery("dry-run", "1: report only.", { enum: ["0", "1"] })] },
  ),
  livez: describe("livez", "Whether the process works; no token", ready, { isOpen: true }),
  readyz: describe("readyz", "Whether clients should be sent to this node; no token", ready, {
    isOpen: true,
  }),
  portReady: describe("portReady", "Whether this node can serve clients of a port; no token", ready, {
    isOpen: true,
    parameters: [
      inPath("port", "Published port.", { type: "integer", minimum: 1, maximum: 65_535 }),
      inQuery("protocol", "", { enum: ["tcp", "udp"], default: "tcp" }),
    ],
  }),
  services: describe("listServices", "Every service with its tasks", {
    200: answer("By name.", z.array(service)),
  }),
  service: describe(
    "getService",
    "One service",
    { 200: answer("The service.", service), ...NOT_FOUND },
    {
      parameters: [name],
    },
  ),
  createService: describe(
    "createService",
    "Create a service, with tasks of this node",
    { 201: answer("The service.", service), ...INVALID, 409: REFUSED[409]! },
    { body: createBody },
  ),
  updateService: describe(
    "updateService",
    "Change a service made by command, and tasks of this node; `expected` is the stamp that was read",
    { 200: answer("The service.", service), ...INVALID, ...REFUSED },
    { parameters: [name], body: updateBody },
  ),
  removeService: describe("removeService", "Remove a service with its tasks on all nodes", done(REFUSED), {
    parameters: [name],
  }),
  addTask: describe(
    "addTask",
    "Add a task of this node",
    { 201: answer("The service.", service), ...INVALID, ...REFUSED },
    { parameters: [name], body: taskBody },
  ),
  removeTask: describe("removeTask", "Remove a task of this node", done(REFUSED), {
    parameters: [name, taskName],
  }),
  directTask: describe("directTask", "Drain or resume a task of this node", done(NOT_FOUND), {
    parameters: [name, taskName, inPath("directive", "", { enum: ["drain", "resume"] })],
  }),
  nodes: describe("listNodes", "Every node of the cluster", { 200: answer("By name.", z.array(node)) }),
  drainNode: describe("drainNode", "No new connections to the tasks of a node", done(NOT_FOUND), onNode()),
  resumeNode: describe("resumeNode", "End the drain of a node", done(NOT_FOUND), onNode()),
  forgetNode: describe("forgetNode", "Forget a failed node and what it declared", done(REFUSED), onNode()),
  testPorts: describe("testPorts", "Test the ports between this node and the others; takes seconds", {
    200: answer("By node.", z.array(z.looseObject({ node: z.string() }))),
  }),
  trace: describe(
    "trace",
    "Which task a client of a port would get, and why",
    { 200: answer("By service.", trace), 400: INVALID[400]! },
    {
      parameters: [
        inQuery("port", "Published port.", { type: "integer", minimum: 1, maximum: 65_535 }, true),
        inQuery("protocol", "", { enum: ["tcp", "udp"], default: "tcp" }),
        inQuery("client", "IP address of the client."),
      ],
    },
  ),
  events: describe(
    "listEvents",
    "Events of all nodes, oldest first",
    { 200: answer("Nodes that did not answer are named.", eventList), 400: INVALID[400]! },
    { parameters: eventParameters() },
  ),
  eventStream: describe(
    "streamEvents",
    "The same, then every new event, as server-sent events `event` and `unanswered`",
    {
      200: { description: "A stream without end.", schema: null },
      400: INVALID[400]!,
      ...NOT_READY,
    },
    { parameters: eventParameters() },
  ),
} as const;

function describe(
  operationId: string,
  summary: string,
  responses: Responses,
  options: Options = {},
): DescribedHandler {
  const pass: MiddlewareHandler = async (_c, next) => {
    await next();
  };
  return Object.assign(pass, { description: { operationId, summary, responses, ...options } });
}

function answer(description: string, schema: z.ZodType): Described {
  return { description, schema };
}

function done(refusals: Responses): Responses {
  return { 200: answer("Done.", empty), ...refusals };
}

function onNode(): Options {
  return { parameters: [nodeName] };
}

function inPath(name: string, description: string, schema: object = { type: "string" }): Parameter {
  return { in: "path", name, required: true, ...(description !== "" && { description }), schema };
}

function inQuery(name: string, description: string, schema: object = {}, required = false): Parameter {
  return {
    ...{ in: "query", name, required, schema: { type: "string", ...schema } },
    ...(description !== "" && { description }),
  };
}

function eventParameters(): Parameter[] {
  return [
    inQuery("service", "Of this service only."),
    inQuery("kind", `Of these kinds only, separated by commas: ${EVENT_KINDS.join(", ")}.`),
    inQuery("since", 'Since this time, "2026-11-28T09:00:00Z", or for so long, "10m".'),
    inQuery("limit", "The newest ones only.", { type: "integer", minimum: 0, default: MAX_EVENTS }),
  ];
}
