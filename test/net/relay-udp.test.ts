/**
 * Published UDP ports whose tasks run on other nodes, with real sockets on loopback.
 *
 *   clients ──▶ entry node, published port ──▶ relay port of an exit node ──▶ its tasks
 *                    127.0.0.1                    127.0.0.2, 127.0.0.3
 */
import { afterEach, describe, expect, test } from "bun:test";
import { decodeProxyHeader, ProxyHeader, RELAY_DATA, RELAY_HELLO } from "../../src/wire/index.ts";
import { freeUdpPort, type Received, UdpPeer } from "../support/load/udp-peer.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { type TestService, type TestTask, tableOf } from "../support/proxy/routing-table.ts";
import { addressOf } from "../support/random/arbitrary-ip.ts";
import { FakeHeart } from "../support/relay/fake-heart.ts";
import { MODES, RelayNode, type RelayNodeOptions } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  const cleanUps: (() => unknown)[] = [];

  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  async function node(name: string, options: RelayNodeOptions = {}): Promise<RelayNode> {
    const started = await RelayNode.start(name, { isSealed, ...options });
    cleanUps.push(() => started.stop());
    return started;
  }

  async function client(address?: string): Promise<UdpPeer> {
    const peer = await UdpPeer.open(address);
    cleanUps.push(() => peer.close());
    return peer;
  }

  /** A task that answers with its name and what it was sent. */
  async function task(name = ""): Promise<UdpPeer> {
    const peer = await UdpPeer.task((data) => Buffer.concat([Buffer.from(name), data]));
    cleanUps.push(() => peer.close());
    return peer;
  }

  /** The task as its own node knows it. */
  function here({ port }: { port: number }, overrides: Partial<TestTask & object> = {}): TestTask {
    return { name: `task-${port}`, port, ...overrides };
  }

  /** And as another does: its address is a name that means nothing here. */
  function on(exit: string, { port }: { port: number }): TestTask {
    return { name: `task-${port}`, node: exit, distance: "far", address: "task.internal", port };
  }

  /** One service, published at one node. */
  class Mesh {
    readonly published: number;

    constructor(
      readonly entry: RelayNode,
      published: number,
      readonly rules: Partial<TestService> = {},
    ) {
      this.published = published;
    }

    static async start(rules: Partial<TestService> = {}, options: RelayNodeOptions = {}): Promise<Mesh> {
      return new Mesh(await node("entry", options), await freeUdpPort(), rules);
    }

    /** The service with these tasks at the entry node. */
    route(exits: readonly RelayNode[], tasks: readonly TestTask[]): Promise<void> {
      return this.entry.apply(
        exits.map(({ peer }) => peer),
        this.#service(tasks),
      );
    }

    /** And at an exit node, which does not publish it to these clients. */
    serve(exit: RelayNode, tasks: readonly TestTask[]): Promise<void> {
      return exit.apply([], { ...this.#service(tasks), listenAddresses: [] });
    }

    async answer(peer: UdpPeer, data = "x"): Promise<string> {
      return (await peer.ask(data, this.published)).data.toString();
    }

    #service(tasks: readonly TestTask[]): TestService {
      return { protocol: "udp", published: this.published, ...this.rules, tasks };
    }
  }

  /** What listens there for datagrams, or does not, seems to be a node that is well. */
  function heart(address: string, port: number): void {
    const fake = new FakeHeart(address, port);
    cleanUps.push(() => fake.stop());
  }

  /** An entry node whose only task runs on an exit node. */
  async function pair(
    rules: Partial<TestService> = {},
    options: RelayNodeOptions = {},
  ): Promise<{ mesh: Mesh; exit: RelayNode; echo: UdpPeer }> {
    const mesh = await Mesh.start(rules, options);
    const exit = await node("exit", { address: "127.0.0.2", ...options });
    const echo = await task();
    await mesh.serve(exit, [here(echo)]);
    await mesh.route([exit], [on("exit", echo)]);
    return { mesh, exit, echo };
  }

  function udp(overrides: Partial<TestService["udp"] & object>) {
    return {
      udp: {
        mode: "session" as const,
        idleTimeoutMs: 90_000,
        maxSessions: 65_536,
        responses: 0,
        ...overrides,
      },
    };
  }

  describe("a relayed session", () => {
    test("carries datagrams both ways, empty ones too, and is counted at both ends", async () => {
      const { mesh, exit, echo } = await pair();
      const peer = await client();
      for (const data of ["one", "", "three"]) expect(await mesh.answer(peer, data)).toBe(data);
      expect(peer.received[0]!.from.port).toBe(mesh.published);
      expect(new Set(echo.received.map(({ from }) => from.port)).size).toBe(1);
      const counted = {
        openSessions: 1,
        sessionsTotal: 1,
        datagramsInTotal: 3,
        datagramsOutTotal: 3,
        bytesInTotal: 8,
        bytesOutTotal: 8,
      };
      const none = { openSessions: 0, sessionsTotal: 0, datagramsInTotal: 0, datagramsOutTotal: 0 };
      expect(mesh.entry.status.udp).toEqual(counted);
      expect(mesh.entry.status.relayedUdp).toMatchObject(none);
      expect(exit.status.relayedUdp).toEqual(counted);
      expect(exit.status.udp).toMatchObject(none);
      for (const { status } of [mesh.entry, exit]) {
        expect(status.tasks[0]).toMatchObject({ openConnections: 1, connectionsTotal: 1, state: "active" });
        expect(status.refusedTotal).toEqual({});
      }
      expect(mesh.entry.proxy.status().relay.datagramsDroppedTotal).toEqual({});
      expect(exit.proxy.status().relay.datagramsDroppedTotal).toEqual({});
    });

    test("comes to the port of nodes of an older version too, as long as there are any", async () => {
      const { mesh, exit, echo } = await pair();
      const { address } = exit.peer;
      const formerUdpPort = await freeUdpPort(address);
      const { relay } = exit;
      exit.relay = { ...relay, formerUdpPort };
      await mesh.serve(exit, [here(echo)]);
      for (const udpPort of [relay.udpPort, formerUdpPort]) {
        const tasks = [on("exit", echo)];
        const peers = [{ ...exit.peer, udpPort }];
        await mesh.entry.apply(peers, { protocol: "udp", published: mesh.published, tasks });
        expect(await mesh.answer(await client())).toBe("x");
      }
      exit.relay = relay;
      await mesh.serve(exit, [here(echo)]);
      (await UdpPeer.open(address, formerUdpPort)).close();
    });

    test("keeps the order of its datagrams", async () => {
      const { mesh } = await pair();
      const peers = await Promise.all([client(), client(), client()]);
      const counts = Array.from({ length: 400 }, (_, i) => String(i));
      const window = 50; // what any socket buffer holds, however long its reader is held up
      for (let sent = 0; sent < counts.length; sent += window) {
        const burst = counts.slice(sent, sent + window);
        for (const count of burst) for (const peer of peers) peer.send(count, mesh.published);
        await waitFor(() => peers.every((peer) => peer.received.length === sent + window), {
          what: "all answers of a burst",
        });
      }
      for (const peer of peers) expect(peer.texts).toEqual(counts);
      expect(mesh.entry.status.udp.openSessions).toBe(3);
    });

    test("keeps the order of bursts of long datagrams", async () => {
      const { mesh } = await pair();
      const peer = await client();
      for (const size of [100, 1400, 1450, 3000, 9000]) {
        const before = peer.received.length;
        for (let i = 0; i < 30; i++) peer.send(Buffer.alloc(size, i), mesh.published);
        await waitFor(() => peer.received.length === before + 30, { what: `datagrams of ${size} bytes` });
        const firstBytes = peer.received.slice(before).map(({ data }) => data[0]);
        expect(firstBytes).toEqual(Array.from({ length: 30 }, (_, i) => i));
      }
    });

    test("carries datagrams up to the size that fits with what it adds; longer ones are counted", async () => {
      const { mesh, exit } = await pair();
      const peer = await client();
      await mesh.answer(peer);
      for (const size of [1400, 9000, 40_000, 65_507 - 40]) {
        const data = Buffer.alloc(size, "0123456789abcdef!");
        expect((await peer.ask(data, mesh.published)).data.equals(data)).toBe(true);
      }
      peer.send(Buffer.alloc(65_507 - 39), mesh.published);
      await waitFor(() => mesh.entry.refused("too-long") === 1, { what: "a datagram too long" });
      expect(exit.status.refusedTotal).toEqual({});
    });

    test("answers that do not fit are counted at the exit node", async () => {
      const { mesh, exit } = await pair();
      const long = await UdpPeer.task((data) => Buffer.alloc(data[0] === 108 ? 65_507 : 65_507 - 40));
      cleanUps.push(() => long.close());
      await mesh.serve(exit, [here(long)]);
      await mesh.route([exit], [on("exit", long)]);
      const peer = await client();
      expect((await peer.ask("short", mesh.published)).data.length).toBe(65_507 - 40);
      peer.send("long", mesh.published);
      await waitFor(() => exit.refused("too-long") === 1, { what: "an answer too long" });
    });

    test("is one of many, with several workers at both ends", async () => {
      const { mesh, exit } = await pair({}, { workers: 2 });
      const peers = await Promise.all(Array.from({ length: 200 }, () => client()));
      const answers = await Promise.all(peers.map((peer, i) => mesh.answer(peer, `${i}`)));
      expect(answers).toEqual(peers.map((_, i) => `${i}`));
      expect(mesh.entry.status.udp.openSessions).toBe(200);
      expect(exit.status.relayedUdp.openSessions).toBe(200);
    });

    test("ends at both ends when it has been idle", async () => {
      const { mesh, exit } = await pair(udp({ idleTimeoutMs: 1_000 }));
      expect(await mesh.answer(await client())).toBe("x");
      await waitFor(() => mesh.entry.status.udp.openSessions + exit.status.relayedUdp.openSessions === 0, {
        what: "no session",
      });
      const atTasks = () => [mesh.entry, exit].map(({ status }) => status.tasks[0]!.openConnections).join();
      await waitFor(() => atTasks() === "0,0", { what: "no session at the tasks" });
      expect(await mesh.answer(await client())).toBe("x");
    });

    test("ends at both ends with its answer, where the service says that there is one", async () => {
      const { mesh, exit } = await pair(udp({ responses: 1 }));
      for (let i = 0; i < 5; i++) expect(await mesh.answer(await client(), `${i}`)).toBe(`${i}`);
      await waitFor(() => mesh.entry.status.udp.openSessions + exit.status.relayedUdp.openSessions === 0, {
        what: "no session",
      });
      expect(exit.status.relayedUdp.sessionsTotal).toBe(5);
      expect(mesh.entry.status.refusedTotal).toEqual({});
    });

    test("makes room for a new one at the limit", async () => {
      const { mesh, exit } = await pair(udp({ maxSessions: 2 }));
      for (let i = 0; i < 5; i++) expect(await mesh.answer(await client())).toBe("x");
      await waitFor(() => exit.status.relayedUdp.openSessions === 2, { what: "evicted sessions" });
      expect(mesh.entry.status.udp).toMatchObject({ openSessions: 2, sessionsTotal: 5 });
      expect(mesh.entry.refused("session-limit")).toBe(3);
    });

    test("makes room at the exit node's own limit: the one idle for longest goes, and comes back", async () => {
      const { mesh, exit, echo } = await pair();
      const small = new Mesh(mesh.entry, mesh.published, udp({ maxSessions: 2 }));
      await small.serve(exit, [here(echo)]);
      const portOf = async (peer: UdpPeer) => {
        await mesh.answer(peer);
        return echo.received.at(-1)!.from.port;
      };
      const [first, second, third] = [await client(), await client(), await client()];
      const firstPort = await portOf(first);
      await portOf(second);
      expect(await portOf(first)).toBe(firstPort);
      await portOf(third);
      expect(await portOf(first)).toBe(firstPort);
      expect(exit.status.relayedUdp.sessionsTotal).toBe(3);
      await portOf(second); // a session of its own, which may leave from the port that it had
      expect(exit.status.relayedUdp.sessionsTotal).toBe(4);
      expect(exit.status.relayedUdp.openSessions).toBe(2);
      expect(exit.refused("session-limit")).toBe(2);
      expect(mesh.entry.status.udp.openSessions).toBe(3);
    });

    test("tells the task who the client is, with send_proxy", async () => {
      const { mesh, exit } = await pair({ sendProxy: "v2" });
      const sink = await client();
      await mesh.serve(exit, [here(sink)]);
      await mesh.route([exit], [on("exit", sink)]);
      const peer = await client("127.0.0.9");
      for (let i = 0; i < 3; i++) peer.send(`${i}`, mesh.published);
      await waitFor(() => sink.received.length === 3, { what: "all datagrams" });
      for (const [i, { data }] of sink.received.entries()) {
        const header = decodeProxyHeader(data, 0, data.length, new ProxyHeader());
        expect(header).toMatchObject({ status: "complete", command: "proxy", transport: "udp" });
        expect(header.headerLength).toBe(28);
        expect(addressOf(header.source, 4)).toEqual([127, 0, 0, 9]);
        expect(addressOf(header.destination, 4)).toEqual([127, 0, 0, 1]);
        expect([header.source.port, header.destination.port]).toEqual([peer.port, mesh.published]);
        expect(data.subarray(28).toString()).toBe(`${i}`);
      }
    });
  });

  describe("an exit node", () => {
    test.each([
      ["::1", "::1"],
      ["0.0.0.0", "127.0.0.7"],
      ["::", "::1"],
    ])("that listens on %s is reached at %s", async (address, reached) => {
      const mesh = await Mesh.start();
      const exit = await node("exit", { address });
      const echo = await task();
      await mesh.serve(exit, [here(echo)]);
      await mesh.route([{ peer: { ...exit.peer, address: reached } } as RelayNode], [on("exit", echo)]);
      const peer = await client();
      for (let i = 0; i < 3; i++) expect(await mesh.answer(peer, `${i}`)).toBe(`${i}`);
      expect(exit.status.relayedUdp.datagramsOutTotal).toBe(3);
    });

    test("answers only for itself: under another name it is not asked", async () => {
      const mesh = await Mesh.start();
      const [exit, own, there] = [
        await node("exit", { address: "127.0.0.2" }),
        await task("own "),
        await task(),
      ];
      await mesh.serve(exit, [here(there)]);
      const wrong = { peer: { ...exit.peer, name: "other" } } as RelayNode;
      await mesh.route([wrong], [on("other", there), here(own)]);
      for (let i = 0; i < 3; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(there.received).toEqual([]);
    });
  });

  test("a node without a relay has no tasks but its own", async () => {
    const mesh = await Mesh.start();
    const exit = await node("exit", { address: "127.0.0.2" });
    const [echo, own] = [await task(), await task("own ")];
    await mesh.serve(exit, [here(echo)]);
    const service = {
      protocol: "udp",
      published: mesh.published,
      tasks: [on("exit", echo), here(own)],
    } as const;
    const table = { ...tableOf(service), peers: [exit.peer] };
    await mesh.entry.proxy.commit(mesh.entry.proxy.prepare(table));
    for (let i = 0; i < 4; i++) expect(await mesh.answer(await client())).toBe("own x");
  });

  describe("tasks here and elsewhere", () => {
    test("share the clients of one port", async () => {
      const mesh = await Mesh.start();
      const [b, c] = [await node("b", { address: "127.0.0.2" }), await node("c", { address: "127.0.0.3" })];
      const tasks = { a: await task("a"), b: await task("b"), c: await task("c") };
      await mesh.serve(b, [here(tasks.b)]);
      await mesh.serve(c, [here(tasks.c)]);
      await mesh.route([b, c], [here(tasks.a), on("b", tasks.b), on("c", tasks.c)]);
      const peers = await Promise.all(Array.from({ length: 30 }, () => client()));
      const answers = await Promise.all(peers.map((peer) => mesh.answer(peer)));
      expect(answers.toSorted().join("")).toBe("ax".repeat(10) + "bx".repeat(10) + "cx".repeat(10));
    });

    test("in packet mode each datagram of one client goes to the next", async () => {
      const mesh = await Mesh.start(udp({ mode: "packet" }));
      const b = await node("b", { address: "127.0.0.2" });
      const tasks = [await task("a"), await task("b"), await task("c")] as const;
      await mesh.serve(b, [here(tasks[1]), here(tasks[2])]);
      await mesh.route([b], [here(tasks[0]), on("b", tasks[1]), on("b", tasks[2])]);
      const peer = await client();
      for (let i = 0; i < 30; i++) await mesh.answer(peer);
      for (const { received } of tasks) expect(received.length).toBe(10);
      expect(mesh.entry.status.udp.openSessions).toBe(3);
    });

    test("no node passes on what another should serve", async () => {
      const mesh = await Mesh.start();
      const [b, c] = [await node("b", { address: "127.0.0.2" }), await node("c", { address: "127.0.0.3" })];
      const [far, own] = [await task("far "), await task("own ")];
      await mesh.serve(c, [here(far)]);
      await new Mesh(b, await freeUdpPort()).route([c], [on("c", far)]);
      await mesh.route([b], [on("b", far), here(own)]);
      for (let i = 0; i < 4; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(far.received).toEqual([]);
      expect(mesh.entry.status.tasks[0]!.lastError!.message).toBe("host unreachable");
    });

    test("a port of mode host is served by tasks of this node only", async () => {
      const { mesh, exit, echo } = await pair();
      const ports = [{ protocol: "udp", published: mesh.published, target: 1, mode: "host" }] as const;
      const own = await task("own ");
      const both = new Mesh(mesh.entry, mesh.published, { ports });
      await both.route([exit], [on("exit", echo), here(own)]);
      for (let i = 0; i < 4; i++) expect(await both.answer(await client())).toBe("own x");
    });
  });

  describe("a relayed session moves", () => {
    /** The first task is at the exit node; its session's client; another task at the entry node. */
    async function moving(rules: Partial<TestService> = {}) {
      const { mesh, exit, echo } = await pair(rules);
      const peer = await client();
      expect(await mesh.answer(peer)).toBe("x");
      const own = await task("own ");
      await mesh.route([exit], [on("exit", echo), here(own)]);
      expect(await mesh.answer(peer)).toBe("x");
      return { mesh, exit, echo, peer, own };
    }

    test("when its task has left the exit node's table", async () => {
      const { mesh, exit, peer } = await moving();
      await mesh.serve(exit, []);
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing", { what: "the rejection" });
      expect(await mesh.answer(peer)).toBe("own x");
      expect(exit.status.relayedUdp.openSessions).toBe(0);
    });

    test("when its task has left the entry node's table", async () => {
      const { mesh, exit, peer, own } = await moving();
      await mesh.route([exit], [here(own)]);
      expect(await mesh.answer(peer)).toBe("own x");
      await waitFor(() => exit.status.relayedUdp.openSessions === 0, { what: "its end at the exit node" });
    });

    test("when its peer has left the entry node's table, and back when it is there again", async () => {
      const { mesh, exit, peer, echo, own } = await moving();
      await mesh.route([], [on("exit", echo), here(own)]);
      expect(await mesh.answer(peer)).toBe("own x");
      await mesh.route([exit], [on("exit", echo)]);
      expect(await mesh.answer(peer)).toBe("x");
    });

    test("with its exit node to another address", async () => {
      const { mesh, exit, echo } = await pair();
      const peer = await client();
      expect(await mesh.answer(peer)).toBe("x");
      exit.relay = { ...exit.relay, port: await freeQuietPort("127.0.0.2") };
      await mesh.serve(exit, [here(echo)]);
      await mesh.route([exit], [on("exit", echo)]);
      expect(await mesh.answer(peer)).toBe("x");
    });

    test("when draining is over at the exit node, not before", async () => {
      const { mesh, exit, peer, echo } = await moving({ drainTimeoutMs: 60_000 });
      await mesh.serve(exit, [here(echo, { isDraining: true })]);
      expect(await mesh.answer(peer)).toBe("x");
      const newcomers = await Promise.all([client(), client(), client()]);
      for (const newcomer of newcomers) expect(await mesh.answer(newcomer)).toBe("own x");
      await mesh.serve(exit, []);
      await waitFor(() => exit.refused("session-moved") === 1, { what: "the end of draining" });
    });

    test("when its task refuses: the first datagram is sent again to another", async () => {
      const mesh = await Mesh.start();
      const exit = await node("exit", { address: "127.0.0.2" });
      const dead = { port: await freeUdpPort() };
      const own = await task("own ");
      await mesh.serve(exit, [here(dead)]);
      await mesh.route([exit], [on("exit", dead), here(own)]);
      for (let i = 0; i < 4; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(mesh.entry.status.tasks[0]).toMatchObject({
        state: "failing",
        lastError: { message: "connection refused" },
      });
      expect(exit.status.tasks[0]!.state).toBe("failing");
      expect([mesh.entry, exit].map((at) => at.refused("no-task"))).toEqual([0, 0]);
    });

    test("when its task dies in the middle", async () => {
      const { mesh, echo, peer } = await moving();
      echo.close();
      peer.send("lost", mesh.published);
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing", { what: "the failure" });
      expect(await mesh.answer(peer)).toBe("own x");
    });

    test("when the exit node stops, and says so", async () => {
      const { mesh, exit, peer } = await moving();
      await exit.stop();
      // the goodbye and the end of the heartbeat overtake each other
      const isGone = () => !mesh.entry.proxy.status().peers[0]!.isReachable;
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing" || isGone(), {
        what: "the goodbye",
      });
      expect(await mesh.answer(peer)).toBe("own x");
    });

    test("when nobody listens at the exit node: the first datagram is sent again to another", async () => {
      const mesh = await Mesh.start();
      const own = await task("own ");
      const port = await freeQuietPort("127.0.0.2");
      heart("127.0.0.2", port);
      const dead = { peer: { name: "exit", address: "127.0.0.2", port, udpPort: port } } as RelayNode;
      await mesh.route([dead], [on("exit", own), here(own)]);
      for (let i = 0; i < 6; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(mesh.entry.status.tasks[0]!.lastError!.message).toBe("connection refused");
    });

    test("when the exit node falls silent", async () => {
      const { mesh, echo, between } = await watched();
      const peer = await client();
      await mesh.answer(peer);
      const own = await task("own ");
      const service = { protocol: "udp", published: mesh.published } as const;
      await mesh.entry.apply([between.peer], { ...service, tasks: [on("exit", echo), here(own)] });
      between.isLost = () => true;
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing", {
        what: "the silence",
      });
      expect(await mesh.answer(peer)).toBe("own x");
    });

    test("not when there is no other task; it is served again once the exit node is back", async () => {
      const { mesh, exit, echo } = await pair();
      const peer = await client();
      expect(await mesh.answer(peer)).toBe("x");
      await exit.stop();
      await waitFor(() => !mesh.entry.proxy.status().peers[0]!.isReachable, { what: "the silence" });
      peer.send("lost", mesh.published);
      const again = await node("exit", { address: "127.0.0.2", port: exit.relay.port });
      await mesh.serve(again, [here(echo)]);
      expect(await mesh.answer(peer)).toBe("x");
      expect(mesh.entry.status.tasks[0]!.state).toBe("active");
    });
  });

  /** Passes datagrams between an entry node and the relay of an exit node, and remembers them. */
  class Middleman {
    readonly toExit: Uint8Array[] = [];
    readonly toEntry: Uint8Array[] = [];
    /** What it does not pass on. */
    isLost: (data: Uint8Array) => boolean = () => false;
    #entry: { address: string; port: number } | null = null;

    private constructor(
      readonly outside: UdpPeer,
      readonly inside: UdpPeer,
      readonly exit: RelayNode,
    ) {
      outside.onDatagram = (received) => this.#onEntry(received);
      inside.onDatagram = ({ data }) => this.#onExit(data);
    }

    static async start(exit: RelayNode): Promise<Middleman> {
      return new Middleman(await client("127.0.0.4"), await client("127.0.0.4"), exit);
    }

    get peer() {
      const { port } = this.outside;
      return { name: this.exit.name, address: "127.0.0.4", port, udpPort: port, isSealed };
    }

    sendToExit(data: Uint8Array): void {
      this.inside.send(data, this.exit.peer.port, this.exit.peer.address);
    }

    sendToEntry(data: Uint8Array): void {
      this.outside.send(data, this.#entry!.port, this.#entry!.address);
    }

    #onEntry({ data, from }: Received): void {
      this.#entry = from;
      if (this.isLost(data)) return;
      this.toExit.push(data);
      this.sendToExit(data);
    }

    #onExit(data: Uint8Array): void {
      if (this.isLost(data)) return;
      this.toEntry.push(data);
      this.sendToEntry(data);
    }
  }

  async function watched(): Promise<{ mesh: Mesh; exit: RelayNode; echo: UdpPeer; between: Middleman }> {
    const { mesh, exit, echo } = await pair();
    const between = await Middleman.start(exit);
    heart(between.peer.address, between.peer.port);
    await mesh.entry.apply([between.peer], {
      protocol: "udp",
      published: mesh.published,
      tasks: [on("exit", echo)],
    });
    return { mesh, exit, echo, between };
  }

  describe("between the nodes", () => {
    test("recorded datagrams sent again are dropped and counted, at both ends", async () => {
      const { mesh, exit, echo, between } = await watched();
      const peer = await client();
      for (const data of ["a", "b", "c"]) await mesh.answer(peer, data);
      const sealed = (data: Uint8Array) => data[0]! > 5;
      const [toExit, toEntry] = [between.toExit.filter(sealed), between.toEntry.filter(sealed)];
      for (const data of toExit) between.sendToExit(data);
      for (const data of toEntry) between.sendToEntry(data);
      await waitFor(() => exit.dropped("replayed") === toExit.length, { what: "all dropped" });
      await waitFor(() => mesh.entry.dropped("replayed") === toEntry.length, { what: "all dropped" });
      expect(echo.texts).toEqual(["a", "b", "c"]);
      expect(peer.texts).toEqual(["a", "b", "c"]);
    });

    test("changed datagrams are dropped and counted, at both ends", async () => {
      const { mesh, exit, echo, between } = await watched();
      const peer = await client();
      for (const data of ["a", "b"]) await mesh.answer(peer, data);
      const last = (all: readonly Uint8Array[]) => all.findLast((data) => data[0] === RELAY_DATA)!;
      between.sendToExit(last(between.toExit).with(-1, 0));
      between.sendToEntry(last(between.toEntry).with(-1, 0));
      await waitFor(() => exit.dropped("unauthentic") === 1, { what: "a drop at the exit node" });
      await waitFor(() => mesh.entry.dropped("unauthentic") === 1, { what: "a drop at the entry node" });
      for (const garbage of [Buffer.alloc(0), Buffer.alloc(60), Buffer.from("GET / HTTP/1.1\r\n\r\n")]) {
        between.sendToExit(garbage);
      }
      await waitFor(() => exit.dropped("malformed") === 3, { what: "three more" });
      expect([echo.texts, peer.texts]).toEqual([
        ["a", "b"],
        ["a", "b"],
      ]);
    });

    test("only what is lost is lost, whichever datagram it is", async () => {
      const { mesh, echo, between } = await watched();
      const peer = await client();
      const types = new Set<number>();
      // the first of each type, both ways
      between.isLost = (data) => !types.has(data[0]!) && types.add(data[0]!).size > 0;
      for (let i = 0; i < 10; i++) {
        const sent = echo.received.length;
        await waitFor(
          () => {
            peer.send(`${i}`, mesh.published);
            return echo.received.length > sent;
          },
          { what: `datagram ${i}` },
        );
      }
      await waitFor(() => peer.texts.at(-1) === "9", { what: "the last answer" });
      expect(types.size).toBeGreaterThanOrEqual(6);
    });

    test("an exit node without the key serves nobody, and counts", async () => {
      const mesh = await Mesh.start();
      const exit = await node("exit", { address: "127.0.0.2", keys: ["11".repeat(32)] });
      const [there, own] = [await task("there "), await task("own ")];
      await mesh.serve(exit, [here(there)]);
      await mesh.route([exit], [on("exit", there), here(own)]);
      for (let i = 0; i < 3; i++) expect(await mesh.answer(await client())).toBe("own x");
      await mesh.route([exit], [on("exit", there)]);
      (await client()).send("x", mesh.published);
      await waitFor(() => exit.dropped("unauthentic") > 0, { what: "the refusal" });
      expect(there.received).toEqual([]);
    });

    test("HELLOs from anywhere are answered with no more than they are, and nothing is kept", async () => {
      const { mesh, exit, between } = await watched();
      await mesh.answer(await client());
      const hello = between.toExit.find((data) => data[0] === RELAY_HELLO)!;
      const strangers = await Promise.all(Array.from({ length: 20 }, () => client("127.0.0.5")));
      for (let i = 0; i < 50; i++) {
        for (const stranger of strangers) stranger.send(hello, exit.peer.port, exit.peer.address);
        await waitFor(() => strangers.every(({ received }) => received.length === i + 1), {
          what: "challenges",
        });
      }
      for (const { received } of strangers) {
        for (const { data } of received) expect(data.length).toBeLessThanOrEqual(hello.length);
      }
      expect(exit.status.relayedUdp).toMatchObject({ openSessions: 1, sessionsTotal: 1 });
      expect(await mesh.answer(await client())).toBe("x");
    });

    test("sessions go on over a restart of the exit node that nobody noticed", async () => {
      const { mesh, exit, echo, between } = await watched();
      const peers = await Promise.all([client(), client(), client()]);
      for (const peer of peers) await mesh.answer(peer);
      // its goodbye does not arrive
      between.isLost = () => true;
      await exit.stop();
      const again = await node("exit", { address: "127.0.0.2", port: exit.relay.port });
      await mesh.serve(again, [here(echo)]);
      between.isLost = () => false;
      const hellos = () => between.toExit.filter((data) => data[0] === RELAY_HELLO).length;
      const before = hellos();
      peers[0]!.send("finds out", mesh.published);
      await waitFor(() => again.dropped("unknown-link") > 0, { what: "the unknown link" });
      // until the reset has reached the entry node, it sends into the old link
      await waitFor(() => hellos() > before, { what: "a new handshake" });
      for (const peer of peers) expect(await mesh.answer(peer, "again")).toBe("again");
      expect(mesh.entry.status.udp.openSessions).toBe(3);
      expect(mesh.entry.status.tasks[0]!.connectFailuresTotal).toBe(0);
    });

    test("keys are changed one after the other without losing anything; an old one is of no use", async () => {
      const [old, next, other] = ["5a".repeat(32), "77".repeat(32), "88".repeat(32)];
      const mesh = await Mesh.start({}, { keys: [next, old] });
      const exit = await node("exit", { address: "127.0.0.2", keys: [old, next] });
      const echo = await task();
      await mesh.serve(exit, [here(echo)]);
      await mesh.route([exit], [on("exit", echo)]);
      const peer = await client();
      expect(await mesh.answer(peer)).toBe("x");
      exit.relay = { ...exit.relay, keys: [next] };
      await mesh.serve(exit, [here(echo)]);
      expect(await mesh.answer(peer)).toBe("x");
      expect(exit.status.relayedUdp.sessionsTotal).toBe(1);
      exit.relay = { ...exit.relay, keys: [other] };
      await mesh.serve(exit, [here(echo)]);
      expect(exit.status.relayedUdp.openSessions).toBe(0);
      peer.send("lost", mesh.published);
      await waitFor(() => exit.dropped("unauthentic") > 0, { what: "a handshake under the old key" });
      expect(echo.texts).toEqual(["x", "x"]);
    });
  });
});
