/** Tasks given by name while name servers answer, say no, fail or stay silent. In a mount namespace, so as root. */
import { expect, test } from "bun:test";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { NameServer } from "../support/network/name-server.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";
import { freePorts } from "../support/os/free-port.ts";
import { skip } from "../support/os/require-program.ts";
import { type TempDir, tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const isNotRoot = process.getuid!() !== 0 && skip("mount namespaces need root");

/** A name server, a task and at most one node that asks it. */
class Names implements AsyncDisposable {
  readonly task: HttpTask = startNamedTask("task");
  readonly #directory: TempDir = tempDir();
  #node: NodeProcess | null = null;

  private constructor(readonly server: NameServer) {}

  static async start(): Promise<Names> {
    return new Names(await NameServer.start());
  }

  service(name: string, port: number, host: string): string {
    return `[[services]]\nname = "${name}"\npublish = ["${port}:${this.task.port}"]\ntasks = ["${host}"]\n`;
  }

  async startNode(services: string, wrapper: readonly string[]): Promise<NodeProcess> {
    this.#node = NodeProcess.startIn(this.#directory.path, services, wrapper);
    await this.#node.serves();
    return this.#node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node?.kill();
    await this.task.stop();
    this.server[Symbol.dispose]();
    this.#directory[Symbol.dispose]();
  }
}

async function isServed(port: number): Promise<boolean> {
  return (await request("127.0.0.1", port, { timeoutMs: 1_000 })).body === "task";
}

test.concurrent.skipIf(isNotRoot)(
  "names whose servers are silent delay neither other names, nor a saved file, nor the end",
  async () => {
    await using names = await Names.start();
    const { server } = names;
    const silent = Array.from({ length: 40 }, (_, i) => `silent-${i}.test`);
    for (const name of silent) server.answers.set(name, "silent");
    server.answers.set("good.test", ["127.0.0.1"]);
    const [web, local, api, ...ports] = (await freePorts(3 + silent.length)) as [number, number, number];
    const broken = silent.map((name, i) => names.service(`broken-${i}`, ports[i]!, name)).join("");
    const head = `[proxy]\nbind = ["127.0.0.1"]\n`;
    const services =
      head + broken + names.service("web", web, "good.test") + names.service("local", local, "local.test");
    const begin = performance.now();
    const started = await names.startNode(
      services,
      server.wrapper("127.0.0.1 local.test", "timeout:15 attempts:2"),
    );
    await waitFor(() => isServed(web), { what: "the name that can be resolved" });
    await waitFor(() => isServed(local), { what: "the name in /etc/hosts" });
    started.write(services + names.service("api", api, "127.0.0.1"));
    await waitFor(() => isServed(api), { what: "the saved file to be applied" });
    server.answers.set("late.test", ["127.0.0.1"]);
    await started.reload(services.replace("good.test", "late.test"));
    const known = async () => (await started.status()).names;
    const isKnown = (name: string) => async () =>
      (await known()).some(({ host, addresses }) => host === name && addresses.length > 0);
    await waitFor(isKnown("late.test"), { what: "a new name" });
    server.answers.set("late.test", ["127.0.0.2"]);
    await waitFor(async () => (await known()).some(({ addresses }) => addresses.includes("127.0.0.2")));
    // a lookup of a silent name takes 30 s: nothing of this has waited for one
    expect(performance.now() - begin).toBeLessThan(25_000);
    const unresolved = (await known()).filter(({ answeredAt }) => answeredAt === null);
    expect(unresolved).toHaveLength(silent.length);
    const stopping = performance.now();
    expect(await started.stop()).toBe(0);
    expect(performance.now() - stopping).toBeLessThan(5_000);
  },
);

test.concurrent.skipIf(isNotRoot)(
  "no answer keeps the last addresses and tells their age; a name without addresses loses its tasks",
  async () => {
    await using names = await Names.start();
    const { server } = names;
    const [port] = (await freePorts(1)) as [number];
    server.answers.set("web.test", ["127.0.0.1"]);
    const started = await names.startNode(
      names.service("web", port, "web.test"),
      server.wrapper("", "timeout:1 attempts:1"),
    );
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

test.concurrent.skipIf(isNotRoot)(
  "a name is not absent while the server fails for one family of addresses",
  async () => {
    await using names = await Names.start();
    const { server } = names;
    const [port] = (await freePorts(1)) as [number];
    server.answers.set("web.test", ["127.0.0.1"]);
    const started = await names.startNode(
      names.service("web", port, "web.test"),
      server.wrapper("", "timeout:1 attempts:1"),
    );
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
