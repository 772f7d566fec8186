/**
 * UDP sessions whose source or whose task is not there any more.
 *
 *   n1: clients ──▶ node ──eth0──┐
 *   n2: task                ─────┤   10.99.x.0/24; an address of it that no machine has
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
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

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** One client with one socket, in a namespace. */
class Client {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(network: NetworkNode, host: string) {
    const command = [...network.wrapper, process.execPath, CLIENT, host, String(PUBLISHED)];
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    cleanUps.push(() => this.#child.kill("SIGKILL"));
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

async function startTask(network: NetworkNode, address: string): Promise<void> {
  const child = Bun.spawn([...network.wrapper, process.execPath, "-e", ECHO, address], { stdout: "pipe" });
  cleanUps.push(() => child.kill("SIGKILL"));
  await child.stdout.getReader().read();
}

async function startNode(network: NetworkNode, tasks: readonly string[], bind: string): Promise<NodeProcess> {
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
  cleanUps.push(() => node.kill());
  return node;
}

async function service(node: NodeProcess) {
  return (await node.status()).proxy.services[0]!;
}

describe.skipIf(lacksNamespaces())("with addresses that go", () => {
  let networks: Namespaces;
  let n1: NetworkNode;
  let n2: NetworkNode;

  beforeEach(() => {
    networks = Namespaces.create(2);
    cleanUps.push(() => networks.close());
    [n1, n2] = networks.nodes as [NetworkNode, NetworkNode];
  });

  const families = [
    { family: "IPv4", loopback: "127.0.0.1", of: (host: number) => `${networks.subnet}.${host}`, prefix: 24 },
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

  test.each(families)(
    "a session goes on, with the same task, when the node's address changes ($family)",
    async ({ family, loopback, of, prefix }) => {
      if (family === "IPv6") {
        await address(n1, "add", of(1), prefix);
        await address(n2, "add", of(2), prefix);
      }
      await startTask(n2, of(2));
      const node = await startNode(n1, [of(2)], loopback);
      const client = new Client(n1, loopback);
      expect(await client.ask("before")).toBe(1);
      await address(n1, "add", of(50), prefix);
      await address(n1, "delete", of(1), prefix);
      // the kernel removes others of the prefix with its first address
      if (family === "IPv4") await address(n1, "add", of(50), prefix).catch(() => {});
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

  test("a session whose answers go nowhere leaves from the address that is the one to use now", async () => {
    await startTask(n2, n2.address);
    const node = await startNode(n1, [n2.address], "127.0.0.1");
    const client = new Client(n1, "127.0.0.1");
    expect(await client.ask("before")).toBe(1);
    const now = `${networks.subnet}.50`;
    await address(n1, "add", now, 24);
    await n1.run("ip", "route", "replace", `${networks.subnet}.0/24`, "dev", "eth0", "src", now);
    await n2.cut("in", [n1.address]);
    expect(await client.ask("after")).toBeGreaterThan(1);
    expect((await service(node)).udp).toMatchObject({ openSessions: 1, sessionsTotal: 1 });
    expect((await service(node)).tasks[0]!.connectFailuresTotal).toBe(0);
  }, 60_000);

  test("failed sends do not keep a session alive", async () => {
    await startTask(n2, n2.address);
    const node = await startNode(n1, [n2.address], "127.0.0.1");
    await node.reload(`[proxy]
workers = 1
[[services]]
name = "dns"
publish = ["${PUBLISHED}:${TASK}/udp"]
bind = ["127.0.0.1"]
tasks = ["${n2.address}"]
udp = { idle_timeout = "3s" }
`);
    const client = new Client(n1, "127.0.0.1");
    expect(await client.ask("before")).toBe(1);
    await n1.run("ip", "address", "flush", "dev", "eth0");
    // it goes on asking once a second
    const asking = client.ask("after");
    await waitFor(async () => (await service(node)).udp.openSessions === 0, { what: "the session to end" });
    expect(await asking).toBe(0);
  }, 60_000);

  test.each(families)(
    "every client gets an answer, though the host of one of two tasks is off ($family)",
    async ({ family, loopback, of, prefix }) => {
      if (family === "IPv6") {
        await address(n1, "add", of(1), prefix);
        await address(n2, "add", of(2), prefix);
      }
      await startTask(n2, of(2));
      const node = await startNode(n1, [of(2), of(77)], loopback);
      const first = Array.from({ length: 8 }, () => new Client(n1, loopback));
      const tries = await Promise.all(first.map((client) => client.ask("first")));
      expect(tries.every((count) => count > 0)).toBe(true);
      const { tasks } = await service(node);
      expect(tasks[1]!.connectFailuresTotal).toBeGreaterThan(0);
      expect(tasks[1]!.lastError!.message).toBe("host unreachable");
      expect(tasks[0]!.connectFailuresTotal).toBe(0);
      // once that is known few are sent there: one at a time finds out whether it is back
      const later = Array.from({ length: 12 }, () => new Client(n1, loopback));
      const again = await Promise.all(later.map((client) => client.ask("later")));
      expect(again.filter((count) => count !== 1).length).toBeLessThanOrEqual(2);
      expect(again.every((count) => count > 0)).toBe(true);
      // and it gets its clients once it is back
      await address(n2, "add", of(77), prefix);
      await startTask(n2, of(77));
      await waitFor(
        async () => {
          await new Client(n1, loopback).ask("back");
          return (await service(node)).tasks[1]!.state === "active";
        },
        { what: "the task to be back" },
      );
    },
    60_000,
  );
});
