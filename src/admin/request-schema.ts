/**
 * Bodies of requests: shape, types and ranges, so that nothing behind the API meets a value it cannot hold.
 * Whether the port is free or the task exists is for the node to say.
 */

import { HTTPException } from "hono/http-exception";
import { z } from "zod";
import {
  canonicalAddress,
  canonicalHostName,
  canonicalText,
  describeFault,
  EVENT_KINDS,
  integer,
  isPort,
  MAX_EVENTS,
  MAX_TASKS_PER_NODE,
  parseDuration,
  parsedText,
  protocol,
  serviceName,
  serviceSpec,
  showValue,
  taskFields,
  taskName,
} from "../model/index.ts";

/** Of several nodes. */
const MAX_LISTED_EVENTS = 10_000;

export const taskBody = z.strictObject(taskFields);

const stamp = z.strictObject({ counter: z.int().min(0), node: z.string().min(1).max(128) });

export const createBody = z.strictObject({
  name: serviceName,
  spec: serviceSpec,
  tasks: z.array(taskBody).max(MAX_TASKS_PER_NODE),
});

export const updateBody = z.strictObject({
  expected: stamp,
  spec: serviceSpec.nullable(),
  addTasks: z.array(taskBody).max(MAX_TASKS_PER_NODE),
  removeTasks: z.array(taskName).max(MAX_TASKS_PER_NODE),
});

const portText = canonicalText("a port in 1..65535", (text) =>
  /^\d{1,5}$/.test(text) && isPort(Number(text)) ? text : null,
).transform(Number);

export const portQuery = z.strictObject({ port: portText, protocol: protocol.default("tcp") });

export const traceQuery = z.strictObject({
  port: portText,
  protocol: protocol.default("tcp"),
  client: canonicalText("an IP address", canonicalAddress)
    .optional()
    .transform((text) => text ?? null),
  sni: canonicalText("a server name", canonicalHostName).optional(),
});

/** Times are ms since 1970. */
export const eventQuery = z.strictObject({
  service: serviceName.optional(),
  kind: parsedText(`one of ${EVENT_KINDS.join(", ")}`, (text) => {
    const kinds = text.split(",");
    const wrong = kinds.find((kind) => !EVENT_KINDS.some((known) => known === kind));
    return wrong === undefined
      ? { value: kinds }
      : { error: `${showValue(wrong)} is not one of ${EVENT_KINDS.join(", ")}` };
  }).optional(),
  since: parsedText('a time like "2026-11-28T09:00:00Z" or a duration like "10m"', (text) => {
    const agoMs = parseDuration(text);
    const atMs = agoMs === null ? Date.parse(text) : Date.now() - agoMs;
    return Number.isNaN(atMs)
      ? {
          error: `${showValue(text)} is neither a time like "2026-11-28T09:00:00Z" nor a duration like "10m"`,
        }
      : { value: atMs };
  }).optional(),
  limit: z.coerce.number().pipe(integer(0, MAX_LISTED_EVENTS)).default(MAX_EVENTS),
});

/** Throws HTTPException with the first fault. */
export function understand<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new HTTPException(400, { message: describeFault(result.error) });
}
