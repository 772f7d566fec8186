/**
 * Events of three nodes, asked of any of them.
 *
 *   portmesh events … --socket n1.sock ─> n1 ── n2 ── n3     loopback addresses, overlay none
 */
import { expect, test } from "bun:test";
import type { EventList } from "../../src/admin/index.ts";
import type { NodeEvent } from "../../src/model/index.ts";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { serviceFile } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { accepts } from "../support/load/http-load.ts";
import { EXECUTABLE } from "../support/node/node-process.ts";

async function eventsOf(node: MeshNode, ...args: string[]): Promise<EventList> {
  return (await node.ask("events", ...args)) as EventList;
}

/** Of every node: on a busy machine one may not answer in time. */
async function allEventsOf(cluster: MeshCluster, node: MeshNode): Promise<readonly NodeEvent[]> {
  const list = await cluster.waitFor(
    async () => {
      const asked = await eventsOf(node);
      return asked.unanswered.length === 0 && asked;
    },
    { what: "the events of all nodes" },
  );
  return list.events;
}

async function start(): Promise<MeshCluster> {
  return MeshCluster.start({
    label: "events",
    places: loopbackPlaces(3),
    settings: { profile: "local" },
    services: () => serviceFile({ name: "web", publish: ["8080:80"], tasks: [] }),
  });
}

/** Lines of a command that follows. */
class Follower implements AsyncDisposable {
  readonly events: NodeEvent[] = [];
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;

  constructor(node: MeshNode, ...args: string[]) {
    const argv = [EXECUTABLE, "events", "-f", "--json", "--socket", node.socket, ...args];
    this.#child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    void this.#read();
  }

  has(node: string, kind: string, text = ""): boolean {
    return this.events.some(
      (event) => event.node === node && event.kind === kind && event.message.includes(text),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.events.push(JSON.parse(line) as NodeEvent);
    }
  }
}

function count(events: readonly NodeEvent[], node: string, kind: string): number {
  return events.filter((event) => event.node === node && event.kind === kind).length;
}

test("every node answers for all: reloads, refused files, conflicts, drains, bind errors, nodes that leave and fail", async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = await start();
  stack.defer(() => cluster.close());
  const [n1, n2, n3] = cluster.nodes as [MeshNode, MeshNode, MeshNode];
  const started = await allEventsOf(cluster, n2);
  for (const name of ["n1", "n2", "n3"]) expect(count(started, name, "start")).toBe(1);
  expect(started.map(({ at }) => at)).toEqual(started.map(({ at }) => at).toSorted());

  const follower = stack.use(new Follower(n1, "--limit", "1000"));
  await cluster.waitFor(() => follower.has("n3", "start"), { what: "the follower to get what there is" });

  const busy = Bun.listen({ hostname: n2.address, port: 8090, socket: { data: () => undefined } });
  stack.defer(() => busy.stop(true));
  const later = serviceFile({
    name: "late",
    publish: ["8080:80", "8090:80", "8091:80"],
    tasks: ["127.0.0.1:9"],
  });
  await n2.reload(cluster.fileOf(n2, {}, later));
  await accepts(n2.address, 8091).catch(() => false); // the first client finds out that nothing listens on port 9
  await n3.reload("nonsense = true");
  expect((await n1.command("node", "drain", "n3")).exitCode).toBe(0);
  await cluster.waitFor(
    () =>
      follower.has("n2", "reload", "1 service added") &&
      follower.has("n2", "conflict", 'service "late" does not get port 8080/tcp: service "web" is older') &&
      follower.has("n2", "bind-error", "cannot listen on") &&
      follower.has("n2", "task-unreachable", "task 127.0.0.1:9") &&
      follower.has("n3", "reload-failed", "nonsense") &&
      follower.has("n3", "node-draining", "operator"),
    { what: "what happened on n2 and n3 to be heard on n1" },
  );
  expect(count(follower.events, "n1", "conflict")).toBe(0);
  const keys = follower.events.map(({ node, id }) => `${node} ${id}`);
  expect(new Set(keys).size).toBe(keys.length);

  await cluster.waitFor(
    async () => {
      const { events, unanswered } = await eventsOf(n1, "--service", "late", "--kind", "conflict");
      const shown = events.map(({ node, port }) => `${node} ${port}`).join();
      return unanswered.length === 0 && shown === "n2 8080/tcp";
    },
    { what: "the one conflict of n2 to be shown" },
  );
  expect((await eventsOf(n3, "--limit", "1")).events.length).toBe(1);
  const text = await n1.command("events", "--kind", "reload-failed", "--since", "1h");
  expect(text.stdout).toMatch(/^(\S+ \S+ {2}n3 +reload-failed +configuration refused, .*nonsense.*\n)+$/);

  await n3.kill();
  await cluster.waitFor(
    () => follower.has("n1", "node-failed", "n3") && follower.has("n2", "node-failed", "n3"),
    {
      what: "both to say that n3 has failed",
    },
  );
  const without = await n1.command("events");
  expect(without.stderr).toContain("no events from node n3: it has failed\n");
  expect(without.exitCode).toBe(0);
  await n2.stop();
  await cluster.waitFor(() => follower.has("n1", "node-left", "n2"), { what: "n1 to say that n2 has left" });
  expect((await eventsOf(n1)).unanswered).toEqual([{ node: "n3", reason: "it has failed" }]);
});

test("a wrong filter is refused with what is allowed", async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = await MeshCluster.start({ label: "events-filter", places: loopbackPlaces(1) });
  stack.defer(() => cluster.close());
  const [n1] = cluster.nodes as [MeshNode];
  const refused = async (...args: string[]) => {
    const { exitCode, stderr } = await n1.command("events", ...args);
    expect(exitCode).toBe(1);
    return stderr;
  };
  expect(await refused("--kind", "explosion")).toContain('kind: "explosion" is not one of node-joined, ');
  expect(await refused("--since", "yesterday")).toContain('since: "yesterday" is neither a time like ');
  expect(await refused("--limit", "0x")).toContain("limit: ");
  expect(await refused("-f", "--service", "a b")).toContain("service: ");
});

test("an upgrade keeps the events, and who follows goes on with the new process", async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = await MeshCluster.start({ label: "events-upgrade", places: loopbackPlaces(2) });
  stack.defer(() => cluster.close());
  const [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
  const follower = stack.use(new Follower(n1, "--limit", "1000"));
  await cluster.waitFor(() => follower.has("n2", "start"), { what: "the follower to get what there is" });
  expect(await n1.command("upgrade")).toMatchObject({ exitCode: 0 });
  const { pid } = await n1.status();
  stack.defer(() => void process.kill(pid, "SIGKILL"));
  await cluster.waitFor(() => follower.has("n1", "upgrade", `process ${pid}`), {
    what: "the upgrade to be heard",
  });
  const events = await allEventsOf(cluster, n2);
  expect(count(events, "n1", "start")).toBe(1);
  expect(count(events, "n1", "upgrade")).toBe(1);
  await n2.reload(cluster.fileOf(n2, {}, serviceFile({ name: "web", publish: ["8080:80"], tasks: [] })));
  await cluster.waitFor(() => follower.has("n2", "reload"), { what: "what happens after it to be heard" });
  const keys = follower.events.map(({ node, id }) => `${node} ${id}`);
  expect(new Set(keys).size).toBe(keys.length);
});
