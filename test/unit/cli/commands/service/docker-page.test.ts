/**
 * Every line of Docker's page "Use Swarm mode routing mesh" that publishes, updates or inspects, with `portmesh` for
 * `docker` and `--task ADDRESS` for the image.
 */
import { describe, expect, test } from "bun:test";
import { FakeMesh, SPEC, serviceView } from "../../../../support/node/fake-mesh.ts";
import { meshSocket } from "../../../../support/node/mesh-socket.ts";

const TASK = ["--task", "10.0.0.5"];

async function portsAfter(line: string): Promise<unknown> {
  const mesh = new FakeMesh();
  await using node = await meshSocket(mesh);
  const { exitCode, stderr } = await node.run(...line.split(/\s+/), ...TASK);
  expect([exitCode, stderr]).toEqual([0, ""]);
  const [service] = mesh.services();
  expect(service?.tasks.map((task) => task.host)).toContain("10.0.0.5");
  return service?.spec.publish.map(
    (port) => `${port.published}:${port.target}/${port.protocol}/${port.mode}`,
  );
}

describe("service create", () => {
  test.each([
    ["service create --name my-web --publish published=8080,target=80", ["8080:80/tcp/ingress"]],
    ["service create --name my-web --publish published=8080,target=80 --replicas 1", ["8080:80/tcp/ingress"]],
    [
      "service create --name my-web --publish published=8080,target=80 --replicas 2 --task 10.0.0.6",
      ["8080:80/tcp/ingress"],
    ],
    ["service create --name my-web -p 8080:80", ["8080:80/tcp/ingress"]],
    ["service create --name dns-cache --publish published=53,target=53", ["53:53/tcp/ingress"]],
    ["service create --name dns-cache -p 53:53", ["53:53/tcp/ingress"]],
    [
      "service create --name dns-cache --publish published=53,target=53 --publish published=53,target=53,protocol=udp",
      ["53:53/tcp/ingress", "53:53/udp/ingress"],
    ],
    ["service create --name dns-cache -p 53:53 -p 53:53/udp", ["53:53/tcp/ingress", "53:53/udp/ingress"]],
    ["service create --name dns-cache -p 53:53/tcp -p 53:53/udp", ["53:53/tcp/ingress", "53:53/udp/ingress"]],
    ["service create --name dns-cache --publish published=53,target=53,protocol=udp", ["53:53/udp/ingress"]],
    ["service create --name dns-cache -p 53:53/udp", ["53:53/udp/ingress"]],
    [
      "service create --name dns-cache --publish published=53,target=53,protocol=udp,mode=host",
      ["53:53/udp/host"],
    ],
  ])("%s", async (line, ports) => expect(await portsAfter(line)).toEqual(ports));
});

test("service update --publish-add published=<PUBLISHED-PORT>,target=<CONTAINER-PORT> <SERVICE>", async () => {
  const mesh = new FakeMesh(serviceView("my-web"));
  await using node = await meshSocket(mesh);
  const update = await node.run("service", "update", "--publish-add", "published=8443,target=443", "my-web");
  expect(update).toEqual({ exitCode: 0, stdout: "my-web\n", stderr: "" });
  expect(mesh.service("my-web")?.spec.publish.map((port) => port.published)).toEqual([8080, 8443]);
});

describe('service inspect --format="{{json .Endpoint.Spec.Ports}}" my-web', () => {
  test.each([
    ["ingress", '[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080}]\n'],
    ["host", '[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"host"}]\n'],
  ] as const)("in mode %s prints exactly %s", async (mode, text) => {
    const publish = SPEC.publish.map((port) => ({ ...port, mode }));
    await using node = await meshSocket(new FakeMesh(serviceView("my-web", { spec: { ...SPEC, publish } })));
    const answer = await node.run("service", "inspect", "--format={{json .Endpoint.Spec.Ports}}", "my-web");
    expect(answer).toEqual({ exitCode: 0, stdout: text, stderr: "" });
  });
});

describe("what Docker takes and portmesh does not is refused in words, before the node is asked", () => {
  const publish = ["--name", "my-web", "--publish", "published=8080,target=80"];
  test.each([
    [["nginx"], "nginx: portmesh takes no image: name where the service runs with --task ADDRESS"],
    [["--replicas", "2", ...TASK], "--replicas 2: portmesh starts no tasks: name each with --task; 1 given"],
    [["--mode", "global", ...TASK], "--mode: leave it out"],
    [["--endpoint-mode", "dnsrr", ...TASK], "--endpoint-mode: leave it out: there is no virtual address"],
    [["--constraint", "node.role==worker"], "--constraint: use --node-label KEY=VALUE"],
    [["--detach"], "--detach: leave it out"],
    [["-e", "A=1"], "--env: portmesh starts no containers"],
    [["--network", "front"], "--network: portmesh starts no containers"],
  ])("service create … %j", async (more, message) => {
    const { exitCode, stdout, stderr } = await (await unasked()).run(
      "service",
      "create",
      ...publish,
      ...more,
    );
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith(message);
  });

  test.each([
    [["--replicas", "3", "my-web"], "--replicas: portmesh starts no tasks: use --task-add and --task-rm"],
    [["--image", "nginx:2", "my-web"], "--image: portmesh starts no containers"],
    [["my-web", "nginx"], "nginx: portmesh takes no image"],
  ])("service update %j", async (argv, message) => {
    const { exitCode, stderr } = await (await unasked()).run("service", "update", ...argv);
    expect(exitCode).toBe(2);
    expect(stderr).toStartWith(message);
  });
});

/** Its socket is closed already: asking it would be exit code 1. */
async function unasked() {
  await using node = await meshSocket(new FakeMesh());
  return node;
}
