/** The OpenAPI document of the routes that are described, made with hono-openapi. */
import type { Hono } from "hono";
import { type DescribeRouteOptions, generateSpecs, resolver, uniqueSymbol } from "hono-openapi";
import type { z } from "zod";
import type { DescribedHandler } from "../../src/admin/index.ts";

const TEXT =
  "The API of a portmesh node, on its Unix socket and on admin.listen. Any node answers for the whole cluster; tasks are " +
  "added and removed on the node that runs them. What takes over a process (upgrade, handover) is on the Unix socket only.";
const TOKEN_TEXT =
  "A token of admin.tokens_file; none on the Unix socket, nor for reading on loopback without the file.";
/** What a field is before it is read. */
const AS_SENT = { io: "input", unrepresentable: "any" } as const;

export async function openApiOf(app: Hono): Promise<object> {
  for (const { handler } of app.routes)
    if ("description" in handler) describe(handler as unknown as DescribedHandler);
  const document = await generateSpecs(app, {
    documentation: {
      openapi: "3.1.0",
      info: { title: "portmesh", version: "1", description: TEXT, license: { name: "Apache-2.0" } },
      security: [{ token: [] }],
      components: { securitySchemes: { token: { type: "http", scheme: "bearer", description: TOKEN_TEXT } } },
    },
  });
  return JSON.parse(JSON.stringify(document)) as object;
}

/** Where generateSpecs looks for it. */
function describe(handler: DescribedHandler): void {
  const { body, responses, isOpen, parameters, ...words } = handler.description;
  const spec: DescribeRouteOptions = {
    ...words,
    ...(parameters !== undefined && { parameters: [...parameters] }),
    ...(isOpen && { security: [] }),
    ...(body !== undefined && { requestBody: { required: true, content: contentOf(body) } }),
    responses: Object.fromEntries(
      Object.entries(responses).map(([status, { description, schema }]) => [
        status,
        { description, content: contentOf(schema) },
      ]),
    ),
  };
  Object.assign(handler, { [uniqueSymbol]: { spec } });
}

function contentOf(schema: z.ZodType | null): Record<string, { schema: never }> {
  if (schema === null) return { "text/event-stream": { schema: { type: "string" } as never } };
  return { "application/json": { schema: resolver(schema, AS_SENT) as never } };
}
