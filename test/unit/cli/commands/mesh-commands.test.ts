import { describe, expect, test } from "bun:test";
import type { ServiceTrace } from "../../../../src/admin/index.ts";
import { FakeMesh, nodeView, SELF, serviceView, taskView } from "../../../support/node/fake-mesh.ts";
import { meshSocket } from "../../../support/node/mesh-socket.ts";
import { runCommand } from "../../../support/node/run-command.ts";

async function run(mesh: FakeMesh, ...argv: string[]) {
  await using node = await meshSocket(mesh);
  return await node.run(...argv);
}

describe("task", () => {
  test("add, drain, resume and rm change this node's task and print its name", async () => {
    const mesh = new FakeMesh(serviceView("web"));
    const tasks = () =>
      mesh.service("web")?.tasks.map(({ name, weight, state }) => `${name} ${weight} ${state}`);
    expect(await run(mesh, "task", "add", "web", "[::1]:81", "--weight", "7")).toMatchObject({
      exitCode: 0,
      stdout: "[::1]:81\n",
    });
    expect(tasks()).toEqual(["[::1]:81 7 active"]);
    expect((await run(mesh, "task", "drain", "web", "[0::1]:81")).stdout).toBe("[::1]:81\n");
    expect(tasks()).toEqual(["[::1]:81 7 draining"]);
    await run(mesh, "task", "resume", "web", "[::1]:81");
    expect(tasks()).toEqual(["[::1]:81 7 active"]);
    await run(mesh, "task", "rm", "web", "[::1]:81");
    expect(tasks()).toEqual([]);
  });

  test.each([
    [["add", "nope", "10.0.0.5"], 1, 'service "nope" does not exist\n'],
    [["add", "web", "10.0.0.6"], 1, 'service "web" already has task "10.0.0.6" on this node\n'],
    [
      ["rm", "web", "10.0.0.5"],
      1,
      'service "web" has no task "10.0.0.5" on this node: it belongs to edge-2; run the command there\n',
    ],
    [["drain", "nope", "10.0.0.5"], 1, 'service "nope" does not exist\n'],
    [["add", "web", "10.0.0.5:0"], 2, "0 is outside 1..65535\n"],
    [
      ["add", "web", "10.0.0.5", "--weight", "0"],
      2,
      '--weight: "0" is not a weight: a whole number in 1..256\n',
    ],
  ])("%j is exit code %p", async (argv, code, message) => {
    const tasks = [taskView("10.0.0.5", { node: "edge-2" }), taskView("10.0.0.6")];
    const { exitCode, stdout, stderr } = await run(
      new FakeMesh(serviceView("web", { tasks })),
      "task",
      ...argv,
    );
    expect([exitCode, stdout, stderr]).toEqual([code, "", message]);
  });
});

describe("node", () => {
  test("ls shows every node, and below what one cannot open", async () => {
    const mesh = new FakeMesh();
    const bindErrors = [
      { service: "web", listener: "tcp 0.0.0.0:80", error: "cannot listen: address in use" },
    ];
    mesh.members = [
      nodeView(SELF, { labels: { zone: "eu-1", rack: "7" }, tasks: 3, bindErrors }),
      nodeView("edge-2", { isDraining: true, rttMs: 1.26 }),
      nodeView("serf-1", { state: "failed", version: null, relay: null, address: "192.0.2.12:7946" }),
    ];
    expect((await run(mesh, "node", "ls")).stdout.split("\n")).toEqual([
      "NODE      STATE            ADDRESS          RELAY            TASKS    RTT  VERSION  LABELS",
      "edge-1 *  alive            192.0.2.10:7946  192.0.2.10:4789      3      -  0.1.0    zone=eu-1 rack=7",
      "edge-2    alive, draining  192.0.2.10:7946  192.0.2.10:4789      0  1.3ms  0.1.0    -",
      "serf-1    failed           192.0.2.12:7946  -                    0      -  -        -",
      "ERROR edge-1: web: cannot listen: address in use",
      "",
    ]);
    expect(JSON.parse((await run(mesh, "node", "ls", "--json")).stdout)).toEqual(mesh.members);
  });

  test("drain, resume and forget tell the node what is wanted", async () => {
    const mesh = new FakeMesh();
    mesh.members = [nodeView(SELF), nodeView("edge-2", { state: "left" })];
    for (const argv of [
      ["drain", "edge-2"],
      ["resume", "edge-2"],
      ["forget", "edge-2"],
    ]) {
      expect(await run(mesh, "node", ...argv)).toEqual({ exitCode: 0, stdout: "edge-2\n", stderr: "" });
    }
    expect(mesh.directives.map(([, directive]) => directive)).toEqual(["drain", "resume", "forget"]);
    expect(await run(mesh, "node", "forget", SELF)).toMatchObject({
      exitCode: 1,
      stderr: 'node "edge-1" is alive: stop it first, a running node cannot be forgotten\n',
    });
    expect((await run(mesh, "node", "drain", "nope")).stderr).toBe('node "nope" is not in the cluster\n');
  });
});

describe("trace", () => {
  const service: ServiceTrace = {
    service: "web",
    target: 80,
    mode: "ingress",
    balance: "round-robin",
    prefer: "local",
    listeners: ["0.0.0.0:8080", "[::]:8080"],
    candidates: [
      {
        node: SELF,
        task: "127.0.0.1",
        via: "127.0.0.1:80",
        distance: "local",
        weight: 1,
        state: "active",
        passedOver: null,
      },
      {
        node: "edge-2",
        task: "127.0.0.1",
        via: "relay 10.200.0.2:4790",
        distance: "far",
        weight: 2,
        state: "down",
        passedOver: "its node is suspect",
      },
    ],
    pick: { node: SELF, task: "127.0.0.1" },
    reason: "next in turn",
  };

  test("the pick comes first, then every task and why it was passed over", async () => {
    const mesh = new FakeMesh();
    mesh.traceAnswer = { services: [service] };
    const { exitCode, stdout } = await run(mesh, "trace", "8080/TCP", "--client", "192.0.2.17");
    expect(exitCode).toBe(0);
    expect(mesh.traced).toEqual([{ port: 8080, protocol: "tcp", client: "192.0.2.17" }]);
    expect(stdout.split("\n")).toEqual([
      "8080/tcp on edge-1 from 192.0.2.17",
      "",
      "-> 127.0.0.1 on edge-1  next in turn",
      "service web  target 80  ingress  round-robin, prefer local",
      "listens on 0.0.0.0:8080, [::]:8080",
      "    TASK       NODE    VIA                    DISTANCE  WEIGHT  STATE   PASSED OVER",
      "->  127.0.0.1  edge-1  127.0.0.1:80           local          1  active  -",
      "    127.0.0.1  edge-2  relay 10.200.0.2:4790  far            2  down    its node is suspect",
      "",
    ]);
  });

  test("a port without task, or without service, is exit code 1", async () => {
    const mesh = new FakeMesh();
    expect(await run(mesh, "trace", "8080")).toMatchObject({
      exitCode: 1,
      stdout: "8080/tcp on edge-1: no service publishes this port\n",
    });
    mesh.traceAnswer = {
      services: [
        { ...service, candidates: [], listeners: [], pick: null, reason: "no node declares a task" },
      ],
    };
    const { exitCode, stdout } = await run(mesh, "trace", "8080");
    expect(exitCode).toBe(1);
    expect(stdout).toContain("NO TASK  no node declares a task\n");
    expect(stdout).toContain("listens on nothing here\nno tasks\n");
    expect(JSON.parse((await run(mesh, "trace", "8080", "--json")).stdout).services[0].pick).toBeNull();
  });

  test.each([
    [["web"], '"web" is not a port in 1..65535'],
    [["0"], '"0" is not a port'],
    [["53/sctp"], '"53/sctp" is not a port'],
    [["53", "--client", "10.0.0"], '--client: "10.0.0" is not an IP address'],
  ])("%j is wrong usage", async (argv, message) => {
    const { exitCode, stderr } = await runCommand(["trace", ...argv]);
    expect(exitCode).toBe(2);
    expect(stderr).toStartWith(message);
  });
});

test("keygen prints one new key of 32 bytes and nothing else", async () => {
  const [one, other] = [await runCommand(["keygen"]), await runCommand(["keygen"])];
  expect(one).toMatchObject({ exitCode: 0, stderr: "" });
  expect(one.stdout).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
  expect(Buffer.from(one.stdout, "base64").length).toBe(32);
  expect(one.stdout).not.toBe(other.stdout);
});
