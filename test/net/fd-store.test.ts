/**
 * The compiled node with an FD store: the service manager keeps its sockets, so that a crash and a restart refuse no client
 * and lose no gossip.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type RequestRecord, request } from "../support/load/http-load.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { NodeProcess } from "../support/node/node-process.ts";
import { WebNode } from "../support/node/web-node.ts";
import { freePort } from "../support/os/free-port.ts";
import { tempDir } from "../support/os/temp-dir.ts";
import { waitFor } from "../support/time/wait-for.ts";

const WORKERS = 2;
/** Clients wait while a node starts, which takes long on a busy machine. */
const START_MS = 60_000;
/** For the wrapper. */
const PATH = process.env.PATH!;
const KEY = Buffer.alloc(32, 5).toString("base64");

let web: WebNode;

beforeEach(async () => {
  web = await WebNode.create();
});

afterEach(() => web[Symbol.asyncDispose]());

function file(ports: readonly string[], workers = WORKERS): string {
  const publish = ports.map((port) => `"${port}"`).join(", ");
  return `[proxy]\nworkers = ${workers}\n[[services]]\nname = "web"\npublish = [${publish}]\ntasks = ["127.0.0.1"]\n`;
}

async function start(text: string, place: readonly string[] = []): Promise<void> {
  await web.startManaged({ text, env: { PATH }, wrapper: place });
}

async function stores(count: number): Promise<void> {
  await waitFor(
    () => {
      web.systemd.receive();
      return web.systemd.stored.size === count;
    },
    { what: `${count} sockets in the store` },
  );
}

/** A socket that is just closed may still take a connection, and reset it. */
async function refuses(port: number): Promise<void> {
  await waitFor(async () => (await request("127.0.0.1", port)).error?.includes("ECONNREFUSED"), {
    what: `port ${port} to be closed`,
  });
}

/** One connection for each request, without a pause. */
class Load {
  readonly results: RequestRecord[] = [];
  #isOver = false;
  readonly #clients = Array.from({ length: 4 }, () => this.#run());

  async #run(): Promise<void> {
    while (!this.#isOver)
      this.results.push(await request("127.0.0.1", web.published, { timeoutMs: START_MS }));
  }

  async served(more: number): Promise<void> {
    const wanted = this.results.length + more;
    await waitFor(() => this.results.length >= wanted, { what: `${more} more replies` });
  }

  async end(): Promise<RequestRecord[]> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return this.results.filter(({ body }) => body !== "task");
  }
}

test("kill -9 under load: nobody is refused, clients that come meanwhile are served by the next process", async () => {
  await start(file([`${web.published}:${web.task.port}`]));
  await stores(WORKERS);
  await web.process.kill();
  const waiting = [1, 2, 3, 4].map(() => request("127.0.0.1", web.published, { timeoutMs: START_MS }));
  await start(file([`${web.published}:${web.task.port}`]));
  expect((await Promise.all(waiting)).map(({ body }) => body)).toEqual(Array(4).fill("task"));
  const load = new Load();
  for (let crash = 0; crash < 3; crash++) {
    await load.served(20);
    await web.process.kill();
    await start(file([`${web.published}:${web.task.port}`]));
  }
  await load.served(20);
  const failed = await load.end();
  // those that were being served when the process died
  expect(failed.filter(({ error }) => error?.includes("ECONNREFUSED"))).toEqual([]);
  expect(failed.length).toBeLessThanOrEqual(3 * 4);
  await stores(WORKERS);
});

test("a restart under load: none fails, and the sockets stay the same", async () => {
  await start(file([`${web.published}:${web.task.port}`]));
  await stores(WORKERS);
  const load = new Load();
  for (let restart = 0; restart < 5; restart++) {
    await load.served(20);
    web.process.child.kill("SIGUSR2");
    expect(await web.process.child.exited).toBe(0);
    await start(file([`${web.published}:${web.task.port}`], 1 + (restart % 3)));
  }
  await load.served(20);
  expect(await load.end()).toEqual([]);
});

test("a stop takes them out of the store, and closes the ports", async () => {
  await start(file([`${web.published}:${web.task.port}`]));
  await stores(WORKERS);
  web.process.child.kill("SIGTERM");
  expect(await web.process.child.exited).toBe(0);
  await stores(0);
  expect((await request("127.0.0.1", web.published)).error).toContain("ECONNREFUSED");
});

test("ports that a reload or another file takes away are closed in the store too; unknown names are closed", async () => {
  const [second, third] = [await freePort(), await freePort()];
  const port = (number: number) => `${number}:${web.task.port}`;
  await start(file([port(web.published), port(second)]));
  await stores(2 * WORKERS);
  await web.process.reload(file([port(web.published)]));
  await stores(WORKERS);
  await refuses(second);
  await web.process.kill();
  const [fds] = [...web.systemd.stored.values()];
  web.systemd.stored.set("web.socket", [fds![0]!]); // of a socket unit
  await start(file([port(third)]));
  await waitFor(() => web.process.log.includes("closed sockets of the service manager"), {
    what: "the warning",
  });
  web.systemd.stored.delete("web.socket");
  await stores(WORKERS);
  await refuses(web.published);
  expect((await request("127.0.0.1", third)).body).toBe("task");
});

function member(name: string, { address }: NetworkNode, seeds: readonly string[], workers: number): string {
  return `[node]\nname = "${name}"\nadvertise = "${address}"\n[proxy]\nworkers = ${workers}
[cluster]\nname = "c"\nkeys = ["${KEY}"]\njoin = ${JSON.stringify(seeds)}\nprofile = "local"
[overlay]\ndriver = "kernel"\nencrypt = false\n`;
}

// relays share the port of gossip, whose socket has to be the first there
test.skipIf(lacksNamespaces())(
  "gossip and relays of an overlay go on with their sockets after a crash and a restart",
  async () => {
    const network = Namespaces.create(2);
    const [n1, n2] = network.nodes as [NetworkNode, NetworkNode];
    using otherDirectory = tempDir();
    const other = NodeProcess.startIn(otherDirectory.path, member("n2", n2, [], 1), n2.wrapper, { PATH });
    const begin = async (workers: number) => {
      await start(member("n1", n1, [n2.address], workers), n1.wrapper);
      await waitFor(
        async () => {
          const peers = (await web.process.status()).overlay?.peers ?? [];
          return peers.length === 1 && peers[0]!.path === "overlay";
        },
        { what: "the overlay to the other node", deadlineMs: 30_000 },
      );
    };
    const kinds = () => {
      web.systemd.receive();
      return new Set([...web.systemd.stored.keys()].map((name) => name.split("%3A", 1)[0]));
    };
    try {
      await other.serves();
      await begin(2);
      await waitFor(() => kinds().size === 5, { what: "five kinds of sockets in the store" });
      expect(kinds()).toEqual(new Set(["gossip-tcp", "gossip-udp", "echo-udp", "relay-tcp", "relay-udp"]));
      await web.process.kill();
      await begin(3);
      web.process.child.kill("SIGUSR2");
      expect(await web.process.child.exited).toBe(0);
      await begin(1);
    } finally {
      await web.process.kill();
      await other.kill();
      network.close();
    }
  },
  120_000,
);
