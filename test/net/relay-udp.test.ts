/** Published UDP ports whose tasks run on other nodes. See test/support/relay/udp-mesh.ts for the picture. */
import { describe, expect, test } from "bun:test";
import { decodeProxyHeader, ProxyHeader } from "../../src/wire/index.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freeQuietPort } from "../support/os/free-port.ts";
import { tableOf } from "../support/proxy/routing-table.ts";
import { addressOf } from "../support/random/arbitrary-ip.ts";
import { MODES, type RelayNode } from "../support/relay/relay-node.ts";
import { here, on, openUdpRelays, UdpMesh, udp } from "../support/relay/udp-mesh.ts";
import { waitFor } from "../support/time/wait-for.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  describe("a relayed session", () => {
    test.concurrent("carries datagrams both ways, empty ones too, and is counted at both ends", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
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
      // the answer may be here before the worker has counted it
      const isCounted = () =>
        mesh.entry.status.udp.datagramsOutTotal === 3 && exit.status.relayedUdp.datagramsOutTotal === 3;
      await waitFor(isCounted, { what: "three answers to be counted at both ends" });
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

    test.concurrent("comes to the port of nodes of an older version too, as long as there are any", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit, echo } = await pair();
      const { address } = exit.peer;
      const formerUdpPort = await freeQuietPort(address);
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

    test.concurrent("keeps the order of its datagrams", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
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

    test.concurrent("keeps the order of bursts of long datagrams", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
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

    test.concurrent("carries datagrams up to the size that fits with what it adds; longer ones are counted", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
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

    test.concurrent("answers that do not fit are counted at the exit node", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit } = await pair();
      const long = await UdpPeer.task((data) => Buffer.alloc(data[0] === 108 ? 65_507 : 65_507 - 40));
      relays.defer(() => long.close());
      await mesh.serve(exit, [here(long)]);
      await mesh.route([exit], [on("exit", long)]);
      const peer = await client();
      expect((await peer.ask("short", mesh.published)).data.length).toBe(65_507 - 40);
      peer.send("long", mesh.published);
      await waitFor(() => exit.refused("too-long") === 1, { what: "an answer too long" });
    });

    test.concurrent("is one of many, with several workers at both ends", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit } = await pair({}, { workers: 2 });
      const peers = await Promise.all(Array.from({ length: 200 }, () => client()));
      const answers = await Promise.all(peers.map((peer, i) => mesh.answer(peer, `${i}`)));
      expect(answers).toEqual(peers.map((_, i) => `${i}`));
      expect(mesh.entry.status.udp.openSessions).toBe(200);
      expect(exit.status.relayedUdp.openSessions).toBe(200);
    });

    test.concurrent("ends at both ends when it has been idle", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit } = await pair(udp({ idleTimeoutMs: 1_000 }));
      await mesh.answersInTheEnd(await client());
      await waitFor(() => mesh.entry.status.udp.openSessions + exit.status.relayedUdp.openSessions === 0, {
        what: "no session",
      });
      const atTasks = () => [mesh.entry, exit].map(({ status }) => status.tasks[0]!.openConnections).join();
      await waitFor(() => atTasks() === "0,0", { what: "no session at the tasks" });
      await mesh.answersInTheEnd(await client());
    });

    test.concurrent("ends at both ends with its answer, where the service says that there is one", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit } = await pair(udp({ responses: 1 }));
      for (let i = 0; i < 5; i++) expect(await mesh.answer(await client(), `${i}`)).toBe(`${i}`);
      await waitFor(() => mesh.entry.status.udp.openSessions + exit.status.relayedUdp.openSessions === 0, {
        what: "no session",
      });
      expect(exit.status.relayedUdp.sessionsTotal).toBe(5);
      expect(mesh.entry.status.refusedTotal).toEqual({});
    });

    test.concurrent("makes room for a new one at the limit", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit } = await pair(udp({ maxSessions: 2 }));
      for (let i = 0; i < 5; i++) expect(await mesh.answer(await client())).toBe("x");
      await waitFor(() => exit.status.relayedUdp.openSessions === 2, { what: "evicted sessions" });
      expect(mesh.entry.status.udp).toMatchObject({ openSessions: 2, sessionsTotal: 5 });
      expect(mesh.entry.refused("session-limit")).toBe(3);
    });

    test.concurrent("makes room at the exit node's own limit: the one idle for longest goes, and comes back", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit, echo } = await pair();
      const small = new UdpMesh(mesh.entry, mesh.published, udp({ maxSessions: 2 }));
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

    test.concurrent("gives the task the client's address, with send_proxy", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
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
    test.concurrent.each([
      ["::1", "::1"],
      ["0.0.0.0", "127.0.0.7"],
      ["::", "::1"],
    ])("that listens on %s is reached at %s", async (address, reached) => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
      const exit = await node("exit", { address });
      const echo = await task();
      await mesh.serve(exit, [here(echo)]);
      await mesh.route([{ peer: { ...exit.peer, address: reached } } as RelayNode], [on("exit", echo)]);
      const peer = await client();
      for (let i = 0; i < 3; i++) expect(await mesh.answer(peer, `${i}`)).toBe(`${i}`);
      expect(exit.status.relayedUdp.datagramsOutTotal).toBe(3);
    });

    test.concurrent("answers only for itself: under another name it is not asked", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
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

  test.concurrent("a node without a relay has no tasks but its own", async () => {
    await using relays = openUdpRelays(isSealed);
    const { node, client, task, start } = relays;
    const mesh = await start();
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
    test.concurrent("share the clients of one port", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
      const [b, c] = [await node("b", { address: "127.0.0.2" }), await node("c", { address: "127.0.0.3" })];
      const tasks = { a: await task("a"), b: await task("b"), c: await task("c") };
      await mesh.serve(b, [here(tasks.b)]);
      await mesh.serve(c, [here(tasks.c)]);
      await mesh.route([b, c], [here(tasks.a), on("b", tasks.b), on("c", tasks.c)]);
      const peers = await Promise.all(Array.from({ length: 30 }, () => client()));
      const answers = await Promise.all(peers.map((peer) => mesh.answer(peer)));
      expect(answers.toSorted().join("")).toBe("ax".repeat(10) + "bx".repeat(10) + "cx".repeat(10));
    });

    test.concurrent("in packet mode each datagram of one client goes to the next", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start(udp({ mode: "packet" }));
      const b = await node("b", { address: "127.0.0.2" });
      const tasks = [await task("a"), await task("b"), await task("c")] as const;
      await mesh.serve(b, [here(tasks[1]), here(tasks[2])]);
      await mesh.route([b], [here(tasks[0]), on("b", tasks[1]), on("b", tasks[2])]);
      const peer = await client();
      for (let i = 0; i < 30; i++) await mesh.answer(peer);
      for (const { received } of tasks) expect(received.length).toBe(10);
      expect(mesh.entry.status.udp.openSessions).toBe(3);
    });

    test.concurrent("no node passes on what another should serve", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
      const [b, c] = [await node("b", { address: "127.0.0.2" }), await node("c", { address: "127.0.0.3" })];
      const [far, own] = [await task("far "), await task("own ")];
      await mesh.serve(c, [here(far)]);
      await new UdpMesh(b, await freeQuietPort()).route([c], [on("c", far)]);
      await mesh.route([b], [on("b", far), here(own)]);
      for (let i = 0; i < 4; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(far.received).toEqual([]);
      expect(mesh.entry.status.tasks[0]!.lastError!.message).toBe("host unreachable");
    });

    test.concurrent("a port of mode host is served by tasks of this node only", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, task, pair } = relays;
      const { mesh, exit, echo } = await pair();
      const ports = [{ protocol: "udp", published: mesh.published, target: 1, mode: "host" }] as const;
      const own = await task("own ");
      const both = new UdpMesh(mesh.entry, mesh.published, { ports });
      await both.route([exit], [on("exit", echo), here(own)]);
      for (let i = 0; i < 4; i++) expect(await both.answer(await client())).toBe("own x");
    });
  });
});
