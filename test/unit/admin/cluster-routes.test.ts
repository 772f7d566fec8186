import { describe, expect, test } from "bun:test";
import { clusterApp } from "../../../src/admin/index.ts";
import { FakeMesh, nodeView, SELF, SPEC, serviceView, taskView } from "../../support/node/fake-mesh.ts";

const task = { name: "10.0.0.5:81", host: "10.0.0.5", port: 81, weight: 2 };
const expected = { counter: 7, node: SELF };

async function ask(mesh: FakeMesh, method: string, path: string, body?: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await clusterApp(() => mesh, {}).request(path, {
    method,
    ...(body !== undefined && { body: text }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("services", () => {
  test("are listed by name and shown one by one", async () => {
    const mesh = new FakeMesh(serviceView("web"), serviceView("dns"));
    expect((await ask(mesh, "GET", "/v1/services")).body).toMatchObject([{ name: "dns" }, { name: "web" }]);
    expect(await ask(mesh, "GET", "/v1/services/web")).toEqual({
      status: 200,
      body: { ...serviceView("web") },
    });
    expect(await ask(mesh, "GET", "/v1/services/nope")).toEqual({
      status: 404,
      body: { code: "not-found", error: 'service "nope" does not exist', about: { name: "nope" } },
    });
  });

  test("are created with their tasks: 201 and the service", async () => {
    const mesh = new FakeMesh();
    const { status, body } = await ask(mesh, "POST", "/v1/services", {
      name: "web",
      spec: SPEC,
      tasks: [task],
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "web", spec: SPEC, tasks: [task] });
  });

  test("that exist, or whose port is taken, are 409 and nothing is created", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    expect(await ask(mesh, "POST", "/v1/services", { name: "web", spec: SPEC, tasks: [] })).toMatchObject({
      status: 409,
      body: { code: "exists" },
    });
    expect(await ask(mesh, "POST", "/v1/services", { name: "other", spec: SPEC, tasks: [] })).toEqual({
      status: 409,
      body: {
        code: "port-taken",
        error: 'port 8080/tcp is already published by service "web"',
        about: { port: { protocol: "tcp", published: 8080 } },
      },
    });
    expect(mesh.services().length).toBe(1);
  });

  test("are updated without a write in between", async () => {
    const mesh = new FakeMesh(serviceView("web", { tasks: [taskView("10.0.0.1")] }));
    const request = {
      expected,
      spec: { ...SPEC, prefer: "local" },
      addTasks: [task],
      removeTasks: ["10.0.0.1"],
    };
    const { status, body } = await ask(mesh, "POST", "/v1/services/web/update", request);
    expect(status).toBe(200);
    expect(body).toMatchObject({ spec: { prefer: "local" }, tasks: [task] });
    expect(await ask(mesh, "POST", "/v1/services/web/update", request)).toMatchObject({
      status: 409,
      body: { code: "changed" },
    });
  });

  test("of a file are not removed", async () => {
    const mesh = new FakeMesh(serviceView("web", { origin: "file" }));
    const { status, body } = await ask(mesh, "DELETE", "/v1/services/web");
    expect([status, body.error]).toEqual([
      409,
      'service "web" is declared in edge-1:/etc/portmesh.toml: change it there and reload',
    ]);
    expect(mesh.service("web")).not.toBeNull();
  });

  test("are removed once", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    expect(await ask(mesh, "DELETE", "/v1/services/web")).toEqual({ status: 200, body: {} });
    expect((await ask(mesh, "DELETE", "/v1/services/web")).status).toBe(404);
  });
});

describe("a wrong body is 400, says where, and nothing is asked of the node", () => {
  const create = { name: "web", spec: SPEC, tasks: [] };
  const [port] = SPEC.publish;
  test.each([
    ["{", "the body is not JSON"],
    [{ ...create, name: "a b" }, 'name: "a b" is not a service name'],
    [{ ...create, spec: { ...SPEC, publish: [] } }, "spec.publish: empty: at least one entry"],
    [
      { ...create, spec: { ...SPEC, publish: [{ ...port, published: 70_000 }] } },
      "spec.publish[0].published: ",
    ],
    [{ ...create, spec: { ...SPEC, publish: [port, port] } }, "spec.publish: 8080/tcp is published twice"],
    [{ ...create, spec: { ...SPEC, balance: "fast" } }, "spec.balance: "],
    [
      { ...create, spec: { ...SPEC, allow: ["10.0.0.0/40"] } },
      'spec.allow[0]: "10.0.0.0/40" is not an IP address or a CIDR prefix',
    ],
    [{ ...create, spec: { ...SPEC, bind: ["300.1.1.1"] } }, 'spec.bind[0]: "300.1.1.1" is not an IP address'],
    [{ ...create, spec: { ...SPEC, idleTimeoutMs: 1.5 } }, "spec.idleTimeoutMs: "],
    [{ ...create, spec: { ...SPEC, udp: { ...SPEC.udp, maxSessions: 0 } } }, "spec.udp.maxSessions: "],
    [{ ...create, spec: { ...SPEC, colour: "red" } }, "spec: Unrecognized key"],
    [{ ...create, tasks: [{ ...task, weight: 0 }] }, "tasks[0].weight: "],
    [
      { ...create, tasks: [{ ...task, host: "a b" }] },
      'tasks[0].host: "a b" is not an IP address or a DNS name',
    ],
  ])("%j: %s", async (body, message) => {
    const mesh = new FakeMesh();
    const answer = await ask(mesh, "POST", "/v1/services", body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toStartWith(message);
    expect(mesh.services()).toEqual([]);
  });

  test.each([
    [{ ...SPEC, bind: ["eth0", "10.0.0.0/8", "::1"] }],
    [{ ...SPEC, bind: [] }],
    [{ ...SPEC, nodes: { a: "" } }],
  ])("%j is right", async (spec) => {
    const { status } = await ask(new FakeMesh(), "POST", "/v1/services", { ...create, spec });
    expect(status).toBe(201);
  });

  test("a body without end is 413", async () => {
    const { status } = await ask(new FakeMesh(), "POST", "/v1/services", `"${"x".repeat(17 * 1024 * 1024)}"`);
    expect(status).toBe(413);
  });
});

describe("tasks", () => {
  test("are added, drained, resumed and removed under the name they were given", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    const v6 = { name: "[::1]:81", host: "::1", port: 81, weight: 1 };
    const path = `/v1/services/web/tasks/${encodeURIComponent(v6.name)}`;
    const state = () => mesh.service("web")?.tasks.map((one) => one.state);
    expect((await ask(mesh, "POST", "/v1/services/web/tasks", v6)).status).toBe(201);
    expect((await ask(mesh, "POST", "/v1/services/web/tasks", v6)).status).toBe(409);
    expect((await ask(mesh, "POST", `${path}/drain`)).status).toBe(200);
    expect(state()).toEqual(["draining"]);
    await ask(mesh, "POST", `${path}/resume`);
    expect(state()).toEqual(["active"]);
    expect((await ask(mesh, "POST", `${path}/paint`)).status).toBe(404);
    expect((await ask(mesh, "DELETE", path)).status).toBe(200);
    expect((await ask(mesh, "DELETE", path)).status).toBe(404);
  });

  test("of another node are refused with its name", async () => {
    const mesh = new FakeMesh(serviceView("web", { tasks: [taskView("10.0.0.5", { node: "edge-2" })] }));
    const { body } = await ask(mesh, "DELETE", "/v1/services/web/tasks/10.0.0.5");
    expect(body.error).toBe(
      'service "web" has no task "10.0.0.5" on this node: it belongs to edge-2; run the command there',
    );
  });
});

describe("nodes", () => {
  test("are listed, drained, resumed, and forgotten when they are gone", async () => {
    const mesh = new FakeMesh();
    mesh.members = [nodeView(SELF), nodeView("edge-2", { state: "failed" })];
    expect((await ask(mesh, "GET", "/v1/nodes")).body).toMatchObject([{ name: SELF }, { name: "edge-2" }]);
    expect((await ask(mesh, "POST", `/v1/nodes/${SELF}/forget`)).body.code).toBe("alive");
    for (const [name, directive] of [
      [SELF, "drain"],
      [SELF, "resume"],
      ["edge-2", "forget"],
    ]) {
      expect((await ask(mesh, "POST", `/v1/nodes/${name}/${directive}`)).status).toBe(200);
    }
    expect(mesh.directives).toEqual([
      [SELF, "drain"],
      [SELF, "resume"],
      ["edge-2", "forget"],
    ]);
    expect((await ask(mesh, "POST", "/v1/nodes/nope/drain")).status).toBe(404);
  });
});

describe("trace", () => {
  test.each([
    ["port=8080", { port: 8080, protocol: "tcp", client: null }],
    ["port=53&protocol=udp&client=2001:db8::1", { port: 53, protocol: "udp", client: "2001:db8::1" }],
  ] as const)("%s", async (query, asked) => {
    const mesh = new FakeMesh();
    expect((await ask(mesh, "GET", `/v1/trace?${query}`)).status).toBe(200);
    expect(mesh.traced).toEqual([asked]);
  });

  test.each([
    ["", "port: "],
    ["port=0", "port: "],
    ["port=8080&protocol=sctp", "protocol: "],
    ["port=8080&client=10.0.0", 'client: "10.0.0" is not an IP address'],
  ])("%p is 400", async (query, message) => {
    const { status, body } = await ask(new FakeMesh(), "GET", `/v1/trace?${query}`);
    expect([status, String(body.error).slice(0, message.length)]).toEqual([400, message]);
  });
});

test("a starting node has no mesh yet; what the admin API had before is still there", async () => {
  const app = clusterApp(() => null, { version: "1.2.3" });
  expect((await app.request("/v1/services")).status).toBe(503);
  expect(await (await app.request("/v1/version")).json()).toEqual({ version: "1.2.3" });
  expect((await clusterApp(() => new FakeMesh(), {}).request("/v1/status")).status).toBe(200);
});
