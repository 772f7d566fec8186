/**
 * UDP sessions whose source or whose task is not there any more.
 *
 *   n1: clients ──▶ node ──eth0──┐
 *   n2: task                ─────┤   10.99.x.0/24; an address of it that no machine has
 */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const CLIENT = resolve("test/support/load/udp-client.ts");
const PUBLISHED = 5_300;
const TASK = 6_000;
const ECHO = `
  const { UdpPeer } = await import(${JSON.stringify(resolve("test/support/load/udp-peer.ts"))});
  const task = await UdpPeer.open(process.argv[1], ${TASK});
  task.onDatagram = ({ data, from }) => task.send(data, from.port, from.address);
  console.log("ready");`;

/** One client with one socket, in a namespace. */
class Client {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(opened: AsyncDisposableStack, network: NetworkNode, host: string) {
    const command = [...network.wrapper, process.execPath, CLIENT, host, String(PUBLISHED)];
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    opened.defer(() => this.#child.kill("SIGKILL"));
    this.#lines = linesOf(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** How often it had to ask; 0: it was not answered. */
  async ask(text: string): Promise<number> {
    this.#child.stdin.write(`${text}\n`);
    await this.#child.stdin.flush();
    return Number((await this.#lines.next()).value);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

async function startTask(opened: AsyncDisposableStack, network: NetworkNode, address: string): Promise<void> {
  const child = Bun.spawn([...network.wrapper, process.execPath, "-e", ECHO, address], { stdout: "pipe" });
  opened.defer(() => child.kill("SIGKILL"));
  await child.stdout.getReader().read();
}

async function startNode(
  opened: AsyncDisposableStack,
  network: NetworkNode,
  tasks: readonly string[],
  bind: string,
): Promise<NodeProcess> {
  const node = await NodeProcess.start(
    `[proxy]
workers = 1
[[services]]
name = "dns"
publish = ["${PUBLISHED}:${TASK}/udp"]
bind = ["${bind}"]
tasks = [${tasks.map((task) => `"${task}"`)}]
`,
    network.wrapper,
  );
  opened.defer(() => node.kill());
  return node;
}

async function service(node: NodeProcess) {
  return (await node.status()).proxy.services[0]!;
}

function connect(opened: AsyncDisposableStack) {
  const networks = opened.adopt(Namespaces.create(2), (created) => created.close());
  const [n1, n2] = networks.nodes as [NetworkNode, NetworkNode];
  return { n1, n2, subnet: networks.subnet };
}

describe.skipIf(lacksNamespaces())("with addresses that go", () => {
  const families = [
    {
      family: "IPv4",
      loopback: "127.0.0.1",
      of: (host: number, subnet: string) => `${subnet}.${host}`,
      prefix: 24,
    },
    { family: "IPv6", loopback: "::1", of: (host: number) => `fd00:99::${host}`, prefix: 64 },
  ];

  async function address(network: NetworkNode, verb: "add" | "delete", ip: string, prefix: number) {
    await network.run(
      "ip",
      "address",
      verb,
      `${ip}/${prefix}`,
      "dev",
      "eth0",
      ...(ip.includes(":") ? ["nodad"] : []),
    );
  }

  test.concurrent.each(families)(
    "a session goes on, with the same task, when the node's address changes ($family)",
    async ({ family, loopback, of, prefix }) => {
      await using opened = new AsyncDisposableStack();
      const { n1, n2, subnet } = connect(opened);
      if (family === "IPv6") {
        await address(n1, "add", of(1, subnet), prefix);
        await address(n2, "add", of(2, subnet), prefix);
      }
      await startTask(opened, n2, of(2, subnet));
      const node = await startNode(opened, n1, [of(2, subnet)], loopback);
      const client = new Client(opened, n1, loopback);
      expect(await client.ask("before")).toBe(1);
      await address(n1, "add", of(50, subnet), prefix);
      await address(n1, "delete", of(1, subnet), prefix);
      // the kernel removes others of the prefix with its first address
      if (family === "IPv4") await address(n1, "add", of(50, subnet), prefix).catch(() => {});
      // IPv6 sends on from an address that has gone: only the silence tells
      const tries = await client.ask("after");
      if (family === "IPv4") expect(tries).toBe(1);
      expect(tries).toBeGreaterThan(0);
      const { udp, tasks, refusedTotal } = await service(node);
      expect(udp).toMatchObject({ openSessions: 1, sessionsTotal: 1 });
      expect(tasks[0]).toMatchObject({ state: "active", connectFailuresTotal: 0 });
      expect(refusedTotal).toEqual({});
    },
    60_000,
  );

  test.concurrent("a session whose answers go nowhere leaves from the address that is the one to use now", async () => {
    await using opened = new AsyncDisposableStack();
    const { n1, n2, subnet } = connect(opened);
    await startTask(opened, n2, n2.address);
    const node = await startNode(opened, n1, [n2.address], "127.0.0.1");
    const client = new Client(opened, n1, "127.0.0.1");
    expect(await client.ask("before")).toBe(1);
    const now = `${subnet}.50`;
    await address(n1, "add", now, 24);
    await n1.run("ip", "route", "replace", `${subnet}.0/24`, "dev", "eth0", "src", now);
    await n2.cut("in", [n1.address]);
    expect(await client.ask("after")).toBeGreaterThan(1);
    expect((await service(node)).udp).toMatchObject({ openSessions: 1, sessionsTotal: 1 });
    expect((await service(node)).tasks[0]!.connectFailuresTotal).toBe(0);
  }, 60_000);

  test.concurrent("failed sends do not keep a session alive", async () => {
    await using opened = new AsyncDisposableStack();
    const { n1, n2 } = connect(opened);
    await startTask(opened, n2, n2.address);
    const node = await startNode(opened, n1, [n2.address], "127.0.0.1");
    await node.reload(`[proxy]
workers = 1
[[services]]
name = "dns"
publish = ["${PUBLISHED}:${TASK}/udp"]
bind = ["127.0.0.1"]
tasks = ["${n2.address}"]
udp = { idle_timeout = "3s" }
`);
    const client = new Client(opened, n1, "127.0.0.1");
    expect(await client.ask("before")).toBe(1);
    await n1.run("ip", "address", "flush", "dev", "eth0");
    // it goes on asking once a second
    const asking = client.ask("after");
    await waitFor(async () => (await service(node)).udp.openSessions === 0, { what: "the session to end" });
    expect(await asking).toBe(0);
  }, 60_000);

  test.concurrent.each(families)(
    "every client gets an answer, though the host of one of two tasks is off ($family)",
    async ({ family, loopback, of, prefix }) => {
      await using opened = new AsyncDisposableStack();
      const { n1, n2, subnet } = connect(opened);
      if (family === "IPv6") {
        await address(n1, "add", of(1, subnet), prefix);
        await address(n2, "add", of(2, subnet), prefix);
      }
      await startTask(opened, n2, of(2, subnet));
      const node = await startNode(opened, n1, [of(2, subnet), of(77, subnet)], loopback);
      const first = Array.from({ length: 8 }, () => new Client(opened, n1, loopback));
      const tries = await Promise.all(first.map((client) => client.ask("first")));
      expect(tries.every((count) => count > 0)).toBe(true);
      const { tasks } = await service(node);
      expect(tasks[1]!.connectFailuresTotal).toBeGreaterThan(0);
      expect(tasks[1]!.lastError!.message).toBe("host unreachable");
      expect(tasks[0]!.connectFailuresTotal).toBe(0);
      // once that is known few are sent there: one at a time finds out whether it is back
      const later = Array.from({ length: 12 }, () => new Client(opened, n1, loopback));
      const again = await Promise.all(later.map((client) => client.ask("later")));
      expect(again.filter((count) => count !== 1).length).toBeLessThanOrEqual(2);
      expect(again.every((count) => count > 0)).toBe(true);
      // and it gets its clients once it is back
      await address(n2, "add", of(77, subnet), prefix);
      await startTask(opened, n2, of(77, subnet));
      await waitFor(
        async () => {
          await new Client(opened, n1, loopback).ask("back");
          return (await service(node)).tasks[1]!.state === "active";
        },
        { what: "the task to be back" },
      );
    },
    60_000,
  );
});
