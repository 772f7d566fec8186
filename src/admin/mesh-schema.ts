/**
 * Bodies of requests to the mesh: shape, types and ranges, so that nothing behind the API meets a value it cannot
 * hold. What a value means together with others (is the port free, does the task exist) is the node's business.
 */
import { z } from "zod";
import {
  findExcess,
  MAX_LIST_ENTRIES,
  MAX_PORTS_PER_SERVICE,
  MAX_TASK_NAME_LENGTH,
  MAX_TASKS_PER_NODE,
  parseIp,
  parsePrefix,
} from "../wire/index.ts";

/** 24 days, as in the file: timers count milliseconds in 31 bits. */
const MAX_DURATION_MS = 24 * 24 * 3_600_000;

const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/, "is not a service name");
/** Addresses and DNS names as they are written; the longest DNS name has 253 characters. */
const host = z.string().regex(/^[a-zA-Z0-9_.:-]{1,253}$/, "is not an address or a DNS name");
const taskName = z
  .string()
  .max(MAX_TASK_NAME_LENGTH)
  .regex(/^[\x21-\x7e]+$/, "is not a task name");
const port = z.int().min(1).max(65_535);
const prefixes = z
  .array(z.string().refine((text) => parsePrefix(text) !== null, "is not a CIDR prefix"))
  .max(MAX_LIST_ENTRIES);
const bindRule = z
  .string()
  .refine(
    (text) => parsePrefix(text) !== null || /^(?![\d.]+$)[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,14}$/.test(text),
    "is not an address, a prefix or an interface name",
  );
const labelKey = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_./-]{0,62}$/, "is not a label");
const labelValue = z.string().max(128);

const publish = z
  .array(
    z.strictObject({
      protocol: z.enum(["tcp", "udp"]),
      published: port,
      target: port,
      mode: z.enum(["ingress", "host"]),
    }),
  )
  .min(1)
  .max(MAX_PORTS_PER_SERVICE)
  .refine(
    (ports) => new Set(ports.map((one) => `${one.published}/${one.protocol}`)).size === ports.length,
    "has a port twice",
  );

const specShape = z.strictObject({
  publish,
  balance: z.enum(["round-robin", "least-connections", "source-hash", "random"]),
  prefer: z.enum(["any", "local", "zone"]),
  sendProxy: z.enum(["none", "v1", "v2"]),
  acceptProxy: prefixes,
  allow: prefixes,
  deny: prefixes,
  bind: z.array(bindRule).max(MAX_LIST_ENTRIES).nullable(),
  nodes: z.record(labelKey, labelValue),
  maxConnections: z.int().min(0).max(2_147_483_647),
  idleTimeoutMs: z.int().min(0).max(MAX_DURATION_MS),
  drainTimeoutMs: z.int().min(0).max(MAX_DURATION_MS),
  udp: z.strictObject({
    mode: z.enum(["session", "packet"]),
    idleTimeoutMs: z.int().min(1).max(MAX_DURATION_MS),
    maxSessions: z.int().min(1).max(1_048_576),
    responses: z.int().min(0).max(65_535).default(0),
  }),
});

/** As in the file and in the catalog. */
const spec = specShape.superRefine((value, context) => {
  const excess = findExcess(value);
  if (excess !== null) context.addIssue({ code: "custom", path: [excess.field], message: excess.message });
});

export const taskBody = z.strictObject({
  name: taskName,
  host,
  port: port.nullable(),
  weight: z.int().min(1).max(256),
});

const stamp = z.strictObject({ counter: z.int().min(0), node: z.string().min(1).max(128) });

export const createBody = z.strictObject({ name, spec, tasks: z.array(taskBody).max(MAX_TASKS_PER_NODE) });

export const updateBody = z.strictObject({
  expected: stamp,
  spec: spec.nullable(),
  addTasks: z.array(taskBody).max(MAX_TASKS_PER_NODE),
  removeTasks: z.array(taskName).max(MAX_TASKS_PER_NODE),
});

export const traceQuery = z.strictObject({
  port: z
    .string()
    .regex(/^\d{1,5}$/, "is not a port")
    .transform(Number)
    .pipe(port),
  protocol: z.enum(["tcp", "udp"]).default("tcp"),
  client: z
    .string()
    .refine((text) => parseIp(text) !== null, "is not an address")
    .optional()
    .transform((text) => text ?? null),
});

/** "spec.publish[0].target: Too big: expected number to be <=65535"; the first of several faults. */
export function describeFault(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "wrong";
  const path = issue.path.reduce<string>(
    (text, step) =>
      text + (typeof step === "number" ? `[${step}]` : `${text === "" ? "" : "."}${String(step)}`),
    "",
  );
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}
