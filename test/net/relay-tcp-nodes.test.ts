/**
 * Nodes that relay TCP connections come and go, stop, drain, change keys and addresses, while clients are served.
 *
 *   clients ──▶ entry node 127.0.0.1 ──┬─▶ exit node 127.0.0.2 ──▶ its tasks
 *                     └─ own tasks     └─▶ exit node 127.0.0.3 ──▶ its tasks
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { request } from "../support/load/http-load.ts";
import { type HttpTask, startNamedTask } from "../support/load/http-task.ts";
import { freePort, freeQuietPort } from "../support/os/free-port.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import type { RawListener } from "../support/os/raw-socket.ts";
import { takeAllDescriptors } from "../support/os/take-descriptors.ts";
import { tableOf } from "../support/proxy/routing-table.ts";
import { allClosed, type Ends, here, on, RelayMesh, type Rules } from "../support/relay/relay-mesh.ts";
import { MODES, RELAY_KEY, type RelayNode } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const [OLD_KEY, NEW_KEY] = [RELAY_KEY, "77".repeat(32)];

describe.each(MODES)("%s", (_mode, isSealed) => {
  let mesh: RelayMesh;
  let entry: RelayNode;

  beforeEach(async () => {
    mesh = await RelayMesh.start();
    entry = await mesh.node("entry", { isSealed });
  });
  afterEach(() => mesh.stop());

  /** An exit node with a task. */
  async function exitNode(
    name: string,
    address: string,
    rules: Rules = {},
  ): Promise<{ exit: RelayNode; task: RawListener }> {
    const exit = await mesh.node(name, { address, isSealed });
    const task = mesh.task();
    await mesh.serve(exit, [here(task)], rules);
    return { exit, task };
  }

  /** Which of these tasks the next client gets; it is served to the end. */
  async function servedBy(...tasks: readonly RawListener[]): Promise<number> {
    const client = await mesh.connect();
    const index = await waitFor(
      async () => {
        const waiting = await Promise.all(tasks.map((task) => task.hasWaiting()));
        return waiting.includes(true) ? { at: waiting.indexOf(true) } : null;
      },
      { what: "a task to be connected to" },
    );
    const served = await mesh.accept(tasks[index.at]!);
    await alive({ client, task: served });
    client.close();
    served.close();
    return index.at;
  }

  async function served(count: number, ...tasks: readonly RawListener[]): Promise<number[]> {
    const all: number[] = [];
    for (let i = 0; i < count; i++) all.push(await servedBy(...tasks));
    return all;
  }

  /** A byte goes both ways. */
  async function alive({ client, task }: Ends): Promise<void> {
    await client.send("?");
    expect(await task.receiveText(1)).toBe("?");
    await task.send("!");
    expect(await client.receiveText(1)).toBe("!");
  }

  function peerStatus(name = "exit") {
    return entry.proxy.status().peers.find((peer) => peer.name === name)!;
  }

  async function becomesReachable(isReachable: boolean, name = "exit"): Promise<void> {
    await waitFor(() => peerStatus(name).isReachable === isReachable, {
      what: `${name} to be ${isReachable ? "reachable" : "unreachable"}`,
    });
  }

  /** A connection that is known to be open at every node. */
  async function opened(task: RawListener): Promise<Ends> {
    const ends = await mesh.open(task);
    await alive(ends);
    return ends;
  }

  /** All of its threads. */
  function isStopped(pid: number): boolean {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").includes(") T "),
    );
  }

  describe("an exit node in a process of its own", () => {
    async function child(task: { readonly port: number }) {
      const address = "127.0.0.2";
      const port = await freeQuietPort(address);
      const service = { ...mesh.service([here(task)]), listenAddresses: [] };
      const acceptsClear = isSealed ? [] : "always";
      const relay = { node: "exit", listenAddresses: [address], port, keys: [RELAY_KEY], acceptsClear };
      const script = new URL("../support/proxy/proxy-process.ts", import.meta.url).pathname;
      const running = Bun.spawn([process.execPath, script, JSON.stringify({ ...tableOf(service), relay })], {
        stdin: "pipe",
        stdout: "pipe",
      });
      mesh.keep(running, (ended) => ended.kill("SIGKILL"));
      await running.stdout.getReader().read();
      return { running, peer: { name: "exit", address, port, udpPort: port, isSealed } };
    }

    test("that is stopped is passed over, and served from again when it goes on", async () => {
      const tasks = ["far", "own"].map((name) => mesh.keep(startNamedTask(name), (task) => task.stop()));
      const [far, own] = tasks as [HttpTask, HttpTask];
      const { running, peer } = await child(far);
      await mesh.route(entry, [{ peer }], [on("exit", far), here(own)]);
      await waitFor(() => peerStatus().rttMs !== null, { what: "the first heartbeat" });
      const ask = async () => (await request("127.0.0.1", mesh.published)).body;
      const answers = async (count: number) => {
        const all: (string | null)[] = [];
        for (let i = 0; i < count; i++) all.push(await ask());
        return all;
      };
      expect(new Set(await answers(8))).toEqual(new Set(["far", "own"]));
      for (let round = 0; round < 2; round++) {
        running.kill("SIGSTOP");
        await waitFor(() => isStopped(running.pid), { what: "the process to stop" });
        // nobody knows yet: clients wait for the hedge, no longer
        expect(await answers(4)).toEqual(Array(4).fill("own"));
        await becomesReachable(false);
        expect(await answers(8)).toEqual(Array(8).fill("own"));
        running.kill("SIGCONT");
        await becomesReachable(true);
        await waitFor(async () => (await ask()) === "far", { what: "its task to be served again" });
      }
      expect(entry.status.refusedTotal).toEqual({});
    }, 60_000);

    test("that is killed: its clients hear of it, others do not", async () => {
      const [far, own] = [mesh.task(), mesh.task()];
      const { running, peer } = await child(far);
      await mesh.route(entry, [{ peer }], [on("exit", far)]);
      const ends = await opened(far);
      await mesh.route(entry, [{ peer }], [on("exit", far), here(own)]);
      running.kill("SIGKILL");
      expect(await served(6, own)).toEqual(Array(6).fill(0));
      await becomesReachable(false);
      expect(await ends.client.receiveRest().catch((error) => error.code)).toBeOneOf(["", "ECONNRESET"]);
      expect(entry.status.refusedTotal).toEqual({});
    });
  });

  describe("which task", () => {
    test("any: tasks of all nodes take turns", async () => {
      const [b, c] = [await exitNode("b", "127.0.0.2"), await exitNode("c", "127.0.0.3")];
      const own = mesh.task();
      await mesh.route(entry, [b.exit, c.exit], [on("b", b.task), on("c", c.task), here(own)]);
      const all = await served(9, b.task, c.task, own);
      for (const index of [0, 1, 2]) expect(all.filter((at) => at === index)).toHaveLength(3);
    });

    test("local and zone: the nearest that works, one after the other", async () => {
      const [b, c] = [await exitNode("b", "127.0.0.2"), await exitNode("c", "127.0.0.3")];
      const own = mesh.task();
      const tasks = [b.task, c.task, own];
      const known = [on("b", b.task, { distance: "zone" }), on("c", c.task), here(own)];
      await mesh.route(entry, [b.exit, c.exit], known, { prefer: "local" });
      expect(await served(4, ...tasks)).toEqual([2, 2, 2, 2]);
      await mesh.route(entry, [b.exit, c.exit], known, { prefer: "zone" });
      expect(new Set(await served(6, ...tasks))).toEqual(new Set([0, 2]));
      own.close();
      expect(await served(4, b.task, c.task)).toEqual([0, 0, 0, 0]);
      await b.exit.stop();
      expect(await served(4, b.task, c.task)).toEqual([1, 1, 1, 1]);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("a port of mode host is served by tasks of this node only", async () => {
      const b = await exitNode("b", "127.0.0.2");
      const own = mesh.task();
      const port = { protocol: "tcp", published: mesh.published, target: 1, mode: "host" } as const;
      await mesh.route(entry, [b.exit], [on("b", b.task), here(own)], { ports: [port] });
      expect(await served(4, b.task, own)).toEqual([1, 1, 1, 1]);
    });

    test("max_connections and deny are the entry node's business", async () => {
      const rules = { maxConnections: 2 };
      const { exit, task } = await exitNode("exit", "127.0.0.2", {
        maxConnections: 1,
        deny: ["127.0.0.0/8"],
      });
      await mesh.route(entry, [exit], [on("exit", task)], rules);
      const [first, _second] = [await opened(task), await opened(task)];
      const third = await mesh.connect().then(
        (client) => client.failure(),
        (error: { code: string }) => error.code,
      );
      expect(third).toBe("ECONNRESET");
      expect(entry.status.refusedTotal).toEqual({ "connection-limit": 1 });
      expect(exit.status.refusedTotal).toEqual({});
      first.client.reset();
      await waitFor(() => entry.status.tcp.openConnections === 1, { what: "room" });
      await opened(task);
    });
  });

  describe("what is open goes on", () => {
    test("while its exit node drains; new clients go elsewhere, and draining waits for it", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const own = mesh.task();
      await mesh.route(entry, [exit], [on("exit", task)]);
      const ends = await opened(task);
      await mesh.route(entry, [exit], [on("exit", task), here(own)]);
      let isDrained = false;
      const draining = exit.proxy.drain().then((isEnded) => {
        isDrained = true;
        return isEnded;
      });
      // Until its ports are closed, it serves who comes.
      await waitFor(async () => (await served(6, task, own)).every((at) => at === 1), {
        what: "six clients in a row to go elsewhere",
      });
      await alive(ends);
      expect(isDrained).toBe(false);
      ends.client.finish();
      ends.task.finish();
      expect(await draining).toBe(true);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("while its task drains at the exit node, and when it has gone there; new clients go elsewhere", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const own = mesh.task();
      await mesh.route(entry, [exit], [on("exit", task)]);
      const ends = await opened(task);
      await mesh.route(entry, [exit], [on("exit", task), here(own)]);
      await mesh.serve(exit, [here(task, { isDraining: true })]);
      expect(await served(6, own)).toEqual(Array(6).fill(0));
      await alive(ends);
      await mesh.serve(exit, []);
      await alive(ends);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("until the drain timeout of the entry node's table is over", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      await mesh.route(entry, [exit], [on("exit", task)], { drainTimeoutMs: 0 });
      const ends = await opened(task);
      await mesh.route(entry, [exit], [on("exit", task, { isDraining: true })], { drainTimeoutMs: 0 });
      expect(await ends.client.failure()).toBe("ECONNRESET");
      expect(await ends.task.failure()).toBe("ECONNRESET");
      await allClosed(entry, exit);
      await waitFor(() => entry.refused("drained") === 1, { what: "the cut to be counted" });
    });

    test("when its peer leaves the table, changes its address, and comes back", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const own = mesh.task();
      await mesh.route(entry, [exit], [on("exit", task)]);
      const first = await opened(task);
      await mesh.route(entry, [], [on("exit", task), here(own)]);
      expect(await served(3, own)).toEqual([0, 0, 0]);
      await alive(first);
      exit.relay = { ...exit.relay, port: await freeQuietPort("127.0.0.2") };
      await mesh.serve(exit, [here(task)]);
      await alive(first);
      await mesh.route(entry, [exit], [on("exit", task)]);
      const second = await opened(task);
      await alive(first);
      await alive(second);
      for (const end of [first.client, second.client]) end.reset();
      await allClosed(entry, exit);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("when its peer is reached by another way: it is not drained", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const rules = { drainTimeoutMs: 0 };
      await mesh.route(entry, [exit], [on("exit", task)], rules);
      const first = await opened(task);
      exit.relay = { ...exit.relay, listenAddresses: ["127.0.0.2", "127.0.0.3"] };
      await mesh.serve(exit, [here(task)]);
      const peer = { ...exit.peer, address: "127.0.0.3" };
      await mesh.route(entry, [{ peer }], [on("exit", task)], rules);
      await alive(await opened(task));
      await alive(first);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("when either node relays no more; new clients are served from here", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const own = mesh.task();
      await mesh.route(entry, [exit], [on("exit", task)]);
      const first = await opened(task);
      const withoutRelay = async (node: RelayNode, ...tasks: Parameters<RelayMesh["service"]>[0][]) => {
        const table = { ...tableOf(mesh.service(tasks[0]!)), peers: [exit.peer], relay: null };
        await node.proxy.commit(node.proxy.prepare(table));
      };
      await withoutRelay(entry, [on("exit", task), here(own)]);
      expect(await served(3, own)).toEqual([0, 0, 0]);
      await alive(first);
      await mesh.route(entry, [exit], [on("exit", task), here(own)]);
      await waitFor(async () => (await servedBy(task, own)) === 0, { what: "the relay to be back" });
      const off = { ...tableOf({ ...mesh.service([here(task)]), listenAddresses: [] }), relay: null };
      await exit.proxy.commit(exit.proxy.prepare(off));
      expect(await served(4, own)).toEqual([0, 0, 0, 0]);
      await alive(first);
      expect(entry.status.refusedTotal).toEqual({});
    });

    test("while keys change, one node after the other; what is signed with the old one is refused then", async () => {
      const { exit, task } = await exitNode("exit", "127.0.0.2");
      const own = mesh.task();
      const known = [on("exit", task)];
      const rekey = async (keys: string[], node: RelayNode) => {
        node.relay = { ...node.relay, keys };
        if (node === exit) await mesh.serve(exit, [here(task)]);
        else await mesh.route(entry, [exit], known);
      };
      await mesh.route(entry, [exit], known);
      const open: Ends[] = [await opened(task)];
      const steps: [string[], RelayNode][] = [
        [[OLD_KEY, NEW_KEY], exit],
        [[OLD_KEY, NEW_KEY], entry],
        [[NEW_KEY, OLD_KEY], entry],
        [[NEW_KEY, OLD_KEY], exit],
        [[NEW_KEY], exit],
        [[NEW_KEY], entry],
      ];
      for (const [keys, node] of steps) {
        await rekey(keys, node);
        expect(await served(3, task)).toEqual([0, 0, 0]);
        open.push(await opened(task));
        for (const ends of open) await alive(ends);
      }
      expect(exit.proxy.status().relay.connectionsRefusedTotal).toEqual({});
      known.push(here(own));
      await rekey([OLD_KEY], entry);
      expect(await served(4, own)).toEqual([0, 0, 0, 0]);
      await waitFor(() => exit.proxy.status().relay.connectionsRefusedTotal.unauthentic! > 0, {
        what: "the old key to be refused",
      });
      for (const ends of open) await alive(ends);
      expect(entry.status.refusedTotal).toEqual({});
    });
  });

  test("a client for whose relay there is no descriptor waits for one", async () => {
    const task = mesh.task();
    const port = await freeQuietPort("127.0.0.2");
    const peer = { name: "exit", address: "127.0.0.2", port, udpPort: port, isSealed };
    await mesh.route(entry, [{ peer }], [on("exit", task)], { acceptProxy: ["127.0.0.1"] });
    // no connection waits for clients as long as nobody has asked after the first attempt
    await becomesReachable(false);
    await mesh.serve(await mesh.node("exit", peer), [here(task)]);
    await becomesReachable(true);
    const client = await mesh.connect();
    await waitFor(() => entry.status.tcp.openConnections === 1, { what: "the client to be accepted" });
    const giveBack = mesh.keep(await takeAllDescriptors(), (release) => release());
    await client.send("PROXY UNKNOWN\r\nhello");
    await waitFor(() => entry.proxy.status().workersOutOfDescriptors === 1, { what: "the dial to wait" });
    giveBack();
    expect(await (await mesh.accept(task)).receiveText(5)).toBe("hello");
  });

  test("2,000 connections, one in three of which fails, leave nothing behind", async () => {
    const { exit, task } = await exitNode("exit", "127.0.0.2");
    const dead = { port: await freePort() };
    await mesh.serve(exit, [here(task), here(dead)]);
    await mesh.route(entry, [exit], [on("exit", task), on("exit", dead), on("nowhere", task)]);
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const all = await Promise.all(Array.from({ length: 20 }, () => mesh.open(task)));
        // a task that resets what it has just accepted has failed
        await Promise.all(all.map(({ client }) => client.send("?")));
        await Promise.all(all.map(({ task: end }) => end.receiveText(1).then(() => end.send("!"))));
        await Promise.all(all.map(({ client }) => client.receiveText(1)));
        for (const [index, ends] of all.entries()) {
          if (index % 3 === 0) ends.client.reset();
          else if (index % 3 === 1) ends.task.reset();
          else ends.client.close();
          ends.client.close();
          ends.task.close();
        }
        if (i % 10 === 9) await mesh.route(entry, [exit], [on("exit", task), on("exit", dead)]);
      }
      await allClosed(entry, exit);
    };
    await rounds(20);
    const before = descriptorsOf(process.pid);
    await rounds(100);
    // connections that wait for clients: up to 64, as many as are needed
    await waitFor(() => descriptorsOf(process.pid) <= before + 2 * 64, {
      what: "the descriptors to come back",
    });
    expect(entry.status.refusedTotal).toEqual({});
    await mesh.route(entry, [], []);
    await waitFor(() => descriptorsOf(process.pid) < before, {
      what: "those that waited to go with their peer",
    });
  }, 60_000);
});
