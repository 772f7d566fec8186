/** Tasks given by name while name servers answer, say no, fail or stay silent. In a mount namespace, so as root. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { NameServer } from "../support/network/name-server.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { skip } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const isNotRoot = process.getuid!() !== 0 && skip("mount namespaces need root");

let directory: TempDir;
let server: NameServer;
let task: HttpTask;
let node: NodeProcess | null = null;

beforeEach(async () => {
  if (isNotRoot) return;
  directory = tempDir();
  server = await NameServer.start();
  task = startNamedTask("task");
});

afterEach(async () => {
  await node?.kill();
  node = null;
  await task.stop();
  server[Symbol.dispose]();
  directory[Symbol.dispose]();
});

function service(name: string, port: number, host: string): string {
  return `[[services]]\nname = "${name}"\npublish = ["${port}:${task.port}"]\ntasks = ["${host}"]\n`;
}

async function start(services: string, wrapper: readonly string[]): Promise<NodeProcess> {
  node = NodeProcess.startIn(directory.path, services, wrapper);
  await node.serves();
  return node;
}

async function isServed(port: number): Promise<boolean> {
  return (await request("127.0.0.1", port, { timeoutMs: 1_000 })).body === "task";
}

test.skipIf(isNotRoot)(
  "names whose servers are silent delay neither other names, nor a saved file, nor the end",
  async () => {
    const silent = Array.from({ length: 40 }, (_, i) => `silent-${i}.test`);
    for (const name of silent) server.answers.set(name, "silent");
    server.answers.set("good.test", ["127.0.0.1"]);
    const [web, local, api] = (await freePorts(3)) as [number, number, number];
    const broken = silent.map((name, i) => service(`broken-${i}`, 20_000 + i, name)).join("");
    const head = `[proxy]\nbind = ["127.0.0.1"]\n`;
    const services = head + broken + service("web", web, "good.test") + service("local", local, "local.test");
    const begin = performance.now();
    const started = await start(services, server.wrapper("127.0.0.1 local.test", "timeout:15 attempts:2"));
    await waitFor(() => isServed(web), { what: "the name that can be resolved" });
    await waitFor(() => isServed(local), { what: "the name in /etc/hosts" });
    started.write(services + service("api", api, "127.0.0.1"));
    await waitFor(() => isServed(api), { what: "the saved file to be applied" });
    server.answers.set("late.test", ["127.0.0.1"]);
    await started.reload(services.replace("good.test", "late.test"));
    const names = async () => (await started.status()).names;
    const isKnown = (name: string) => async () =>
      (await names()).some(({ host, addresses }) => host === name && addresses.length > 0);
    await waitFor(isKnown("late.test"), { what: "a new name" });
    server.answers.set("late.test", ["127.0.0.2"]);
    await waitFor(async () => (await names()).some(({ addresses }) => addresses.includes("127.0.0.2")));
    // a lookup of a silent name takes 30 s: nothing of this has waited for one
    expect(performance.now() - begin).toBeLessThan(25_000);
    const unresolved = (await names()).filter(({ answeredAt }) => answeredAt === null);
    expect(unresolved).toHaveLength(silent.length);
    const stopping = performance.now();
    expect(await started.stop()).toBe(0);
    expect(performance.now() - stopping).toBeLessThan(5_000);
  },
);

test.skipIf(isNotRoot)(
  "no answer keeps the last addresses and tells their age; a name without addresses loses its tasks",
  async () => {
    const [port] = (await freePorts(1)) as [number];
    server.answers.set("web.test", ["127.0.0.1"]);
    const started = await start(service("web", port, "web.test"), server.wrapper("", "timeout:1 attempts:1"));
    await waitFor(() => isServed(port), { what: "the name to be resolved" });
    const name = async () => (await started.status()).names[0]!;
    for (const failure of ["servfail", "refused", "silent"] as const) {
      server.answers.set("web.test", failure);
      const asked = server.asked.length;
      await waitFor(() => server.asked.length >= asked + 4, { what: `two lookups: ${failure}` });
      await waitFor(async () => (await name()).error !== null, { what: failure });
      expect((await name()).addresses).toEqual(["127.0.0.1"]);
      expect((await name()).answeredAt).toBeGreaterThan(Date.now() - 60_000);
      expect(await isServed(port)).toBe(true);
    }
    const { stdout } = await portmesh("status", "--socket", started.socket);
    expect(stdout.replace(/\s+/g, " ")).toMatch(/no answer from the name servers.* old, stays in use/);
    for (const absence of ["nxdomain", []] as const) {
      server.answers.set("web.test", absence);
      await waitFor(async () => !(await isServed(port)), { what: "the task to be removed" });
      expect(await name()).toMatchObject({ addresses: [], error: "name not found" });
      server.answers.set("web.test", ["127.0.0.1"]);
      await waitFor(() => isServed(port), { what: "the task to be back" });
    }
  },
);

test.skipIf(isNotRoot)(
  "a name is not absent while the server fails for one family of addresses",
  async () => {
    const [port] = (await freePorts(1)) as [number];
    server.answers.set("web.test", ["127.0.0.1"]);
    const started = await start(service("web", port, "web.test"), server.wrapper("", "timeout:1 attempts:1"));
    await waitFor(() => isServed(port), { what: "the name to be resolved" });
    server.answersByType.set("web.test AAAA", "servfail");
    const { length } = server.asked;
    await waitFor(() => server.asked.length >= length + 2, { what: "a lookup that began after that" });
    server.answers.set("web.test", []);
    await waitFor(async () => (await started.status()).names[0]!.error !== null, { what: "the failure" });
    expect((await started.status()).names[0]!.addresses).toEqual(["127.0.0.1"]);
    expect(await isServed(port)).toBe(true);
  },
);
