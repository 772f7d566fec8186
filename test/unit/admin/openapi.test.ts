import { describe, expect, test } from "bun:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { openApiOf } from "../../../build/openapi/document.ts";
import { clusterApp } from "../../../src/admin/index.ts";
import written from "../../../src/admin/openapi.json" with { type: "json" };
import { FakeMesh, nodeView, SPEC, serviceView, taskView } from "../../support/node/fake-mesh.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { schema: object }>> }>
  >;
}

const paths = written.paths as unknown as Readonly<Record<string, Readonly<Record<string, Operation>>>>;
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);
/** Only on the Unix socket, or in a format of its own. */
const NOT_DESCRIBED = /^\/(?:v1\/(?:openapi\.json|make-way|upgrade|handover.*|\*)|metrics|\*)$/;

const mesh = new FakeMesh(serviceView("web", { tasks: [taskView("10.0.0.5:80")] }));
const app = clusterApp(() => mesh, { version: "1.2.3" });

test("openapi.json is up to date: else run `bun build/openapi/main.ts`", async () => {
  expect(written as object).toEqual(await openApiOf(app));
});

test("it is what a node serves", async () => {
  const response = await app.request("/v1/openapi.json");
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(written)));
});

test("every route is described, but those of the process itself", () => {
  const described = new Set(operations.map(({ path, method }) => `${method.toUpperCase()} ${path}`));
  const routes = app.routes
    .filter(({ method, path }) => method !== "ALL" && !NOT_DESCRIBED.test(path))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, "{$1}")}`);
  expect([...new Set(routes)].filter((route) => !described.has(route))).toEqual([]);
});

test("operations have names of their own, and every parameter of their path", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const declared = (operation.parameters ?? [])
      .filter((each) => each.in === "path")
      .map(({ name }) => name);
    expect(declared).toEqual(named);
  }
});

describe("what a node answers fits", () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: "api", ...written });

  function check(method: string, path: string, status: string, value: unknown): void {
    const schema = paths[path]![method]!.responses[status]!.content!["application/json"]!.schema;
    const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components');
    const isValid = ajv.validate(JSON.parse(text) as object, JSON.parse(JSON.stringify(value)));
    expect(isValid ? [] : ajv.errors).toEqual([]);
  }

  const event = { id: 1, at: "2026-11-28T09:00:00.000Z", node: "a", kind: "reload", message: "m" };

  test.each([
    ["get", "/v1/services", "/v1/services"],
    ["get", "/v1/services/{name}", "/v1/services/web"],
    ["get", "/v1/services/{name}", "/v1/services/none"],
    ["get", "/v1/nodes", "/v1/nodes"],
    ["get", "/readyz", "/readyz"],
    ["get", "/ports/{port}/ready", "/ports/1/ready"],
    ["get", "/v1/events", "/v1/events"],
    ["get", "/v1/events", "/v1/events?kind=nothing"],
    ["get", "/v1/trace", "/v1/trace?port=8080"],
    ["post", "/v1/nodes/{name}/drain", "/v1/nodes/edge-1/drain"],
    ["post", "/v1/nodes/{name}/drain", "/v1/nodes/none/drain"],
  ])("%s %s", async (method, path, url) => {
    mesh.members = [nodeView("edge-1")];
    mesh.eventList = { events: [event], unanswered: [{ node: "b", reason: "no reply" }] };
    const response = await app.request(url, { method: method.toUpperCase() });
    check(method, path, String(response.status), await response.json());
  });

  test("a request that is accepted fits the schema of its body", () => {
    const { schema } = paths["/v1/services"]!.post!.requestBody!.content["application/json"]!;
    const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components');
    const value = {
      name: "web",
      spec: SPEC,
      tasks: [{ name: "10.0.0.5", host: "10.0.0.5", port: null, weight: 1 }],
    };
    expect(ajv.validate(JSON.parse(text) as object, value) ? [] : ajv.errors).toEqual([]);
    expect(ajv.validate(JSON.parse(text) as object, { ...value, other: 1 })).toBe(false);
  });
});
