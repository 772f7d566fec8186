import { describe, expect, test } from "bun:test";
import { FakeMesh, nodeView, SELF, SPEC, serviceView, taskView } from "../../../../support/node/fake-mesh.ts";
import { meshSocket } from "../../../../support/node/mesh-socket.ts";

const dns = serviceView("dns", {
  origin: "file",
  spec: { ...SPEC, publish: [{ protocol: "udp", published: 53, target: 53, mode: "host" }] },
  tasks: [
    taskView("10.0.0.5", { state: "failing", error: "refused" }),
    taskView("10.0.0.6", { node: "edge-2" }),
  ],
});

async function run(mesh: FakeMesh, ...argv: string[]) {
  await using node = await meshSocket(mesh);
  return await node.run(...argv);
}

describe("create", () => {
  test("prints the name and keeps nothing quiet that this node cannot open", async () => {
    const mesh = new FakeMesh();
    const error = {
      service: "web",
      listener: "tcp 0.0.0.0:80",
      error: "cannot listen on 0.0.0.0:80/tcp: denied",
    };
    mesh.members = [nodeView(SELF, { bindErrors: [error, { ...error, service: "other" }] })];
    expect(await run(mesh, "service", "create", "--name", "web", "-p", "80:80")).toEqual({
      exitCode: 0,
      stdout: "web\n",
      stderr: "warning: edge-1: cannot listen on 0.0.0.0:80/tcp: denied\n",
    });
  });

  test("a refusal names the flag and the conflict, and is exit code 1", async () => {
    const mesh = new FakeMesh(serviceView("other"));
    expect(await run(mesh, "service", "create", "--name", "web", "-p", "9090:90", "-p", "8080:80")).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: '--publish 8080:80: port 8080/tcp is already published by service "other"\n',
    });
    expect(mesh.services().map((service) => service.name)).toEqual(["other"]);
  });

  test("without name or port is wrong usage", async () => {
    const { exitCode, stderr } = await run(new FakeMesh(), "service", "create", "-p", "80:80");
    expect([exitCode, stderr]).toEqual([2, "error: required option '--name <name>' not specified\n"]);
  });
});

describe("update", () => {
  test("changes ports and tasks in one go", async () => {
    const mesh = new FakeMesh(serviceView("web", { tasks: [taskView("10.0.0.5")] }));
    const argv = [
      "--publish-add",
      "9090:80",
      "--publish-rm",
      "8080:80",
      "--task-add",
      "10.0.0.6",
      "--task-rm",
      "10.0.0.5",
    ];
    expect(await run(mesh, "service", "update", ...argv, "web")).toMatchObject({
      exitCode: 0,
      stdout: "web\n",
    });
    const web = mesh.service("web");
    expect(web?.spec.publish.map((port) => port.published)).toEqual([9090]);
    expect(web?.tasks.map((task) => task.name)).toEqual(["10.0.0.6"]);
  });

  test("starts again from what another command wrote meanwhile", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    let writes = 0;
    mesh.beforeChange = () => {
      if (writes++ < 2) mesh.write("web", { spec: { ...SPEC, prefer: "zone" } });
    };
    expect((await run(mesh, "service", "update", "--balance", "random", "web")).exitCode).toBe(0);
    expect(mesh.service("web")?.spec).toMatchObject({ prefer: "zone", balance: "random" });
  });

  test("gives up when another command never stops writing", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    let writes = 0;
    mesh.beforeChange = () => {
      mesh.write("web", { updatedAtMs: writes++ });
    };
    const { exitCode, stderr } = await run(mesh, "service", "update", "--balance", "random", "web");
    expect([exitCode, stderr]).toEqual([
      1,
      'service "web" was changed by another command in the meantime: try again\n',
    ]);
    expect(writes).toBe(5);
  });

  test("a service of a file is changed there; its tasks are this node's own", async () => {
    const mesh = new FakeMesh(dns);
    const refused = await run(mesh, "service", "update", "--publish-add", "54:53/udp", "dns");
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      'service "dns" is declared in edge-1:/etc/portmesh.toml: change it there and reload\n',
    ]);
    expect((await run(mesh, "service", "update", "--task-add", "10.0.0.9", "dns")).exitCode).toBe(0);
  });

  test("a service that is not there is exit code 1", async () => {
    const { exitCode, stderr } = await run(new FakeMesh(), "service", "update", "--balance", "random", "web");
    expect([exitCode, stderr]).toEqual([1, 'service "web" does not exist\n']);
  });
});

describe("inspect", () => {
  test("is an array in Docker's shape, with our own part under Portmesh", async () => {
    const { stdout } = await run(new FakeMesh(dns), "service", "inspect", "dns");
    const ports = [{ Protocol: "udp", TargetPort: 53, PublishedPort: 53, PublishMode: "host" }];
    expect(JSON.parse(stdout)).toEqual([
      {
        ID: expect.stringMatching(/^[0-9a-z]{25}$/),
        Version: { Index: 7 },
        CreatedAt: "2026-01-02T03:04:05.000Z",
        UpdatedAt: "2026-01-02T03:04:05.000Z",
        Spec: {
          Name: "dns",
          Labels: {},
          TaskTemplate: { Placement: { Constraints: [] } },
          Mode: { Replicated: { Replicas: 2 } },
          EndpointSpec: { Mode: "vip", Ports: ports },
        },
        Endpoint: { Spec: { Mode: "vip", Ports: ports }, Ports: ports, VirtualIPs: [] },
        Portmesh: expect.objectContaining({ Origin: "file", Balance: "round-robin", DrainTimeout: "30s" }),
      },
    ]);
    expect(JSON.parse(stdout)[0].Portmesh.Tasks[0]).toMatchObject({ Name: "10.0.0.5", State: "failing" });
  });

  test("shows what there is and complains about the rest: exit code 1", async () => {
    const { exitCode, stdout, stderr } = await run(new FakeMesh(dns), "service", "inspect", "nope", "dns");
    expect([exitCode, stderr]).toEqual([1, 'service "nope" does not exist\n']);
    expect(JSON.parse(stdout)).toMatchObject([{ Spec: { Name: "dns" } }]);
    expect((await run(new FakeMesh(), "service", "inspect", "nope")).stdout).toBe("[]\n");
  });

  test.each([
    ["{{.Spec.Name}} {{len .Portmesh.Tasks}}", "dns 2\n"],
    ["{{range .Endpoint.Ports}}{{.PublishedPort}}/{{.Protocol}}{{end}}", "53/udp\n"],
  ])("--format %s", async (format, text) => {
    expect((await run(new FakeMesh(dns), "service", "inspect", "-f", format, "dns")).stdout).toBe(text);
  });

  test("--format json is one line", async () => {
    const { stdout } = await run(new FakeMesh(dns), "service", "inspect", "--format", "json", "dns");
    expect(stdout.trimEnd()).not.toContain("\n");
    expect(JSON.parse(stdout)[0].Spec.Name).toBe("dns");
  });

  test("a template that cannot be shown is wrong usage", async () => {
    const { exitCode, stdout, stderr } = await run(
      new FakeMesh(dns),
      "service",
      "inspect",
      "-f",
      "{{if .ID}}",
      "dns",
    );
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith("--format: cannot show {{if .ID}}");
  });

  test("--pretty is for people", async () => {
    const { stdout } = await run(new FakeMesh(dns), "service", "inspect", "--pretty", "dns");
    expect(stdout).toContain("  Ports     53:53/udp (host)\n");
    expect(stdout).toContain("10.0.0.5  edge-1  failing");
  });
});

test("an ID is for one service: it stays through updates and differs after another creation", async () => {
  const { serviceId } = await import("../../../../../src/cli/commands/service/inspect-shape.ts");
  const id = serviceId(dns);
  expect(serviceId({ ...dns, ...serviceView("dns", { stamp: { counter: 9, node: "x" } }) })).toBe(id);
  expect(serviceId({ ...dns, created: { counter: 8, node: SELF } })).not.toBe(id);
});

describe("ls", () => {
  const conflicts = [{ service: "web", protocol: "tcp", port: 8080, with: "old" }] as const;
  const mesh = () => new FakeMesh(serviceView("web", { conflicts }), dns);

  test("is a table with the conflicts below it", async () => {
    expect((await run(mesh(), "service", "ls")).stdout.split("\n")).toEqual([
      "NAME  TASKS  FROM  PORTS",
      "dns   1/2    file  53:53/udp (host)",
      "web   0/0    api   8080:80/tcp",
      "CONFLICT web does not get 8080/tcp: the older service old uses it; publish another port, bind the services to",
      "         different addresses, or share the port by server names (sni)",
      "",
    ]);
  });

  test.each([
    [["--quiet"], "dns\nweb\n"],
    [
      ["--format", "{{.Name}}\\t{{.Ports}}\\t{{.Replicas}}"],
      "dns\t*:53->53/udp\t1/2\nweb\t*:8080->80/tcp\t0/0\n",
    ],
    [["-q", "--filter", "name=w"], "web\n"],
    [["-q", "-f", "name=w", "-f", "name=d"], "dns\nweb\n"],
    [["-q", "-f", "name=x"], ""],
  ])("%j", async (options, text) => {
    expect(await run(mesh(), "service", "ls", ...options)).toEqual({ exitCode: 0, stdout: text, stderr: "" });
  });

  test("--json is what the node says", async () => {
    expect(JSON.parse((await run(mesh(), "service", "ls", "--json")).stdout)).toEqual([
      dns,
      serviceView("web", { conflicts }),
    ]);
  });

  test.each([
    [["ls", "--json", "--quiet"]],
    [["ls", "-q", "--format", "{{.Name}}"]],
    [["inspect", "--pretty", "--json", "dns"]],
    [["inspect", "--pretty", "--format", "{{.ID}}", "dns"]],
  ])("%j: one way to show is enough", async (argv) => {
    const { exitCode, stderr } = await run(mesh(), "service", ...argv);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("cannot be used with option");
  });

  test("another filter is wrong usage", async () => {
    const { exitCode, stderr } = await run(mesh(), "service", "ls", "--filter", "mode=global");
    expect([exitCode, stderr]).toEqual([2, "--filter mode=global: only name=PREFIX is known\n"]);
  });

  test("without services says how to get one", async () => {
    expect((await run(new FakeMesh(), "service", "ls")).stdout).toStartWith("no services: create one");
  });
});

describe("ps", () => {
  test("is the tasks of all nodes", async () => {
    expect((await run(new FakeMesh(dns), "service", "ps", "dns")).stdout.split("\n")).toEqual([
      "TASK      NODE    STATE    WEIGHT  FROM  ERROR",
      "10.0.0.5  edge-1  failing       1  api   refused",
      "10.0.0.6  edge-2  active        1  api   -",
      "",
    ]);
  });

  test("of several services says which", async () => {
    const mesh = new FakeMesh(dns, serviceView("web", { tasks: [taskView("10.0.0.7")] }));
    const { stdout } = await run(mesh, "service", "ps", "web", "dns");
    expect(stdout.split("\n").map((line) => line.split(/\s+/).slice(0, 2).join(" "))).toEqual([
      "SERVICE TASK",
      "web 10.0.0.7",
      "dns 10.0.0.5",
      "dns 10.0.0.6",
      "",
    ]);
    const json = JSON.parse((await run(mesh, "service", "ps", "web", "--json")).stdout);
    expect(json).toEqual([{ service: "web", ...taskView("10.0.0.7") }]);
  });

  test("without tasks says what that means", async () => {
    expect((await run(new FakeMesh(serviceView("web")), "service", "ps", "web")).stdout).toContain(
      "every client is refused",
    );
  });
});

test("rm removes what it can, and says what it cannot", async () => {
  const mesh = new FakeMesh(serviceView("web"), dns);
  expect(await run(mesh, "service", "rm", "nope", "dns", "web")).toEqual({
    exitCode: 1,
    stdout: "web\n",
    stderr:
      'service "nope" does not exist\nservice "dns" is declared in edge-1:/etc/portmesh.toml: change it there and reload\n',
  });
  expect(mesh.services().map(({ name }) => name)).toEqual(["dns"]);
});

test.each([
  [["service", "rm", ".."]],
  [["service", "inspect", ""]],
  [["task", "rm", "dns", ".."]],
  [["node", "drain", "."]],
])("%j: dots are no way out of a path", async (argv) => {
  const mesh = new FakeMesh({ ...dns, origin: "api" });
  const { exitCode, stderr } = await run(mesh, ...argv);
  expect([exitCode, stderr]).toEqual([2, `${JSON.stringify(argv.at(-1))} is not a valid name\n`]);
  expect(mesh.services().length).toBe(1);
});

test("a node without these routes is quoted", async () => {
  const { listenOnSocket, adminApp } = await import("../../../../../src/admin/index.ts");
  const { runCommand } = await import("../../../../support/node/run-command.ts");
  const { tempDir } = await import("../../../../support/os/temp-dir.ts");
  using dir = tempDir();
  const socket = dir.file("pm.sock");
  const server = await listenOnSocket(socket, adminApp(() => null, {}).fetch);
  const { exitCode, stderr } = await runCommand(["service", "ls", "--socket", socket]);
  await server.close();
  expect([exitCode, stderr]).toEqual([1, "cannot GET /v1/services: no such resource\n"]);
});
