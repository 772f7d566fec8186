/**
 * One TLS port for two services of a cluster, with real servers and clients: openssl s_server behind two nodes.
 *
 *   curl ──> n1 ─┬─ task of "a" (a.example.org)          each node on a loopback address of its own,
 *   curl ──> n2 ─┴─ task of "b" (*.b.example.org)        relays between them
 *
 * The certificate of each task is the only one its clients trust, so an answer proves that the right one has answered.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { accepts } from "../support/load/http-load.ts";
import { freePort } from "../support/os/free-port.ts";
import { findProgram, lacks } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PORT = 8443;
const isSkipped = lacks("openssl", "curl");

let directory: TempDir;
let cluster: MeshCluster;
let n1: MeshNode;
let n2: MeshNode;
const servers: Bun.Subprocess[] = [];
const ports: Record<string, number> = {};

/** `openssl s_server` with a certificate of its own for these names. */
async function startServer(name: string, names: readonly string[]): Promise<void> {
  const key = directory.file(`${name}.key`);
  const certificate = directory.file(`${name}.pem`);
  const subjects = names.map((each) => `DNS:${each}`).join();
  const request = [
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
  ];
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${subjects}`];
  const made = Bun.spawnSync(
    ["openssl", "req", ...request, ...subject, "-keyout", key, "-out", certificate],
    { stderr: "pipe" },
  );
  if (made.exitCode !== 0) throw new Error(`openssl req: ${made.stderr}`);
  const port = await freePort();
  ports[name] = port;
  const accept = ["-accept", `127.0.0.1:${port}`, "-www", "-quiet"];
  servers.push(
    Bun.spawn(["openssl", "s_server", "-key", key, "-cert", certificate, ...accept], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    }),
  );
  await waitFor(() => accepts("127.0.0.1", port), { what: `openssl s_server of ${name} to listen` });
}

/** curl's exit code, with the certificate of `by`: 0 only if that server has answered. */
async function ask(node: MeshNode, name: string, by: string): Promise<number> {
  const { exitCode } = await spawn([
    findProgram("curl")!,
    ...["--silent", "--max-time", "20", "--output", "/dev/null"],
    ...["--cacert", directory.file(`${by}.pem`)],
    ...["--resolve", `${name}:${PORT}:${node.address}`],
    `https://${name}:${PORT}/`,
  ]);
  return exitCode;
}

async function spawn(command: string[]): Promise<{ exitCode: number; stdout: string }> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const [stdout, exitCode] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return { exitCode, stdout };
}

async function run(node: MeshNode, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await node.command(...args);
  if (exitCode !== 0) throw new Error(`portmesh ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout;
}

beforeAll(async () => {
  if (isSkipped) return;
  directory = tempDir();
  await startServer("a", ["a.example.org"]);
  await startServer("b", ["x.b.example.org", "y.z.b.example.org"]);
  cluster = await MeshCluster.start({
    label: "server-names-mesh",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
    services: (_, index) =>
      index === 0
        ? serviceFile({
            name: "a",
            publish: [`{ published = ${PORT}, target = ${ports.a}, sni = ["A.example.org"] }`],
            tasks: ["127.0.0.1"],
          })
        : "",
  });
  [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
  const publish = `published=${PORT},target=${ports.b},sni=*.b.example.org,sni=b.example.org`;
  await run(n2, "service", "create", "--name", "b", "--publish", publish, "--task", "127.0.0.1");
}, 60_000);

afterAll(async () => {
  await cluster?.close();
  for (const server of servers) server.kill();
  await Promise.all(servers.map((server) => server.exited));
  directory?.[Symbol.dispose]();
});

test.skipIf(isSkipped)("each client gets the server of its name, at every node", async () => {
  for (const node of cluster.nodes) {
    for (const [name, by] of [
      ["a.example.org", "a"],
      ["x.b.example.org", "b"],
      ["y.z.b.example.org", "b"],
    ] as const)
      await cluster.waitFor(async () => (await ask(node, name, by)) === 0, {
        what: `${by} to answer for ${name} at ${node.name}`,
      });
    // reset: 35 is a failed TLS handshake, 56 a failed receive
    expect([35, 56]).toContain(await ask(node, "c.example.org", "a"));
  }
});

test.skipIf(isSkipped)("the commands show the names, and which service a client gets", async () => {
  await cluster.waitFor(async () => (await run(n1, "service", "ls")).includes("sni *.b.example.org"), {
    what: "n1 to know both services",
  });
  const [inspected] = JSON.parse(await run(n1, "service", "inspect", "a"));
  expect(inspected.Endpoint.Spec.Ports).toEqual([
    { Protocol: "tcp", TargetPort: ports.a, PublishedPort: PORT, ServerNames: ["a.example.org"] },
  ]);
  expect(await run(n2, "status")).toContain(`b  ${PORT}:${ports.b}/tcp sni *.b.example.org,b.example.org`);
  const trace = JSON.parse(await run(n1, "trace", String(PORT), "--sni", "X.b.example.org.", "--json"));
  expect(trace.services).toMatchObject([{ service: "b", pick: { node: "n2" } }]);
  const none = await n1.command("trace", `${PORT}/tcp`, "--sni", "c.example.org");
  expect([none.exitCode, none.stdout]).toEqual([
    1,
    `${PORT}/tcp on n1 to c.example.org: no service has this port and server name\n`,
  ]);
});

test.skipIf(isSkipped)("a name that another service has is refused; so is a name on udp", async () => {
  const create = (publish: string) =>
    n1.command("service", "create", "--name", "c", "--publish", publish, "--task", "127.0.0.1");
  const taken = await create(`published=${PORT},target=1,sni=c.example.org,sni=b.example.org`);
  expect(taken.exitCode).not.toBe(0);
  expect(taken.stderr).toContain(`port ${PORT}/tcp is already published by service "b"`);
  const udp = await create(`published=${PORT},target=1,protocol=udp,sni=c.example.org`);
  expect([udp.exitCode, udp.stderr]).toEqual([
    2,
    expect.stringContaining("sni has no effect on udp ports: a server name is read from TLS over tcp"),
  ]);
  const any = await create(`published=${PORT},target=${ports.a}`);
  expect([any.exitCode, any.stdout]).toEqual([0, "c\n"]);
  await cluster.waitFor(async () => (await ask(n1, "a.example.org", "a")) === 0, { what: "a to answer" });
  await run(n1, "service", "rm", "c");
});

test.skipIf(isSkipped)("a restart of a node refuses none of its clients, and keeps the names", async () => {
  const restarted = n1.command("restart");
  const codes: number[] = [];
  let isOver = false;
  void restarted.finally(() => {
    isOver = true;
  });
  while (!isOver) codes.push(await ask(n1, "a.example.org", "a"), await ask(n1, "x.b.example.org", "b"));
  expect((await restarted).exitCode).toBe(0);
  codes.push(await ask(n1, "a.example.org", "a"), await ask(n1, "x.b.example.org", "b"));
  expect(codes.filter((code) => code !== 0)).toEqual([]);
});

test.skipIf(isSkipped)(
  "a service whose tasks drain refuses its clients; others are not affected",
  async () => {
    await run(n2, "task", "drain", "b", "127.0.0.1");
    for (const node of cluster.nodes) {
      await cluster.waitFor(async () => (await ask(node, "x.b.example.org", "b")) !== 0, {
        what: `${node.name} to refuse clients of b`,
      });
      expect(await ask(node, "a.example.org", "a")).toBe(0);
    }
  },
);
