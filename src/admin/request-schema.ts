/**
 * Bodies of requests: shape, types and ranges, so that nothing behind the API meets a value it cannot hold.
 * Whether the port is free or the task exists is for the node to say.
 */

import { z } from "zod";
import {
  canonicalAddress,
  canonicalText,
  isPort,
  MAX_TASKS_PER_NODE,
  protocol,
  serviceName,
  serviceSpec,
  taskFields,
  taskName,
} from "../model/index.ts";

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

export const traceQuery = z.strictObject({
  port: canonicalText("a port in 1..65535", (text) =>
    /^\d{1,5}$/.test(text) && isPort(Number(text)) ? text : null,
  ).transform(Number),
  protocol: protocol.default("tcp"),
  client: canonicalText("an IP address", canonicalAddress)
    .optional()
    .transform((text) => text ?? null),
});
