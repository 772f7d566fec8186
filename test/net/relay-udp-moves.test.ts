/** Relayed UDP sessions whose task or exit node goes. See test/support/relay/udp-mesh.ts for the picture. */
import { describe, expect, test } from "bun:test";
import { freeQuietPort } from "../support/os/free-port.ts";
import { MODES, type RelayNode } from "../support/relay/relay-node.ts";
import { here, on, openUdpRelays } from "../support/relay/udp-mesh.ts";
import { waitFor } from "../support/time/wait-for.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  describe("a relayed session moves", () => {
    test.concurrent("when its task has left the exit node's table", async () => {
      await using relays = openUdpRelays(isSealed);
      const { moving } = relays;
      const { mesh, exit, peer } = await moving();
      await mesh.serve(exit, []);
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing", { what: "the rejection" });
      expect(await mesh.answer(peer)).toBe("own x");
      expect(exit.status.relayedUdp.openSessions).toBe(0);
    });

    test.concurrent("when its task has left the entry node's table", async () => {
      await using relays = openUdpRelays(isSealed);
      const { moving } = relays;
      const { mesh, exit, peer, own } = await moving();
      await mesh.route([exit], [here(own)]);
      expect(await mesh.answer(peer)).toBe("own x");
      await waitFor(() => exit.status.relayedUdp.openSessions === 0, { what: "its end at the exit node" });
    });

    test.concurrent("when its peer has left the entry node's table, and back when it is there again", async () => {
      await using relays = openUdpRelays(isSealed);
      const { moving } = relays;
      const { mesh, exit, peer, echo, own } = await moving();
      await mesh.route([], [on("exit", echo), here(own)]);
      expect(await mesh.answer(peer)).toBe("own x");
      await mesh.route([exit], [on("exit", echo)]);
      expect(await mesh.answer(peer)).toBe("x");
    });

    test.concurrent("with its exit node to another address", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, pair } = relays;
      const { mesh, exit, echo } = await pair();
      const peer = await client();
      expect(await mesh.answer(peer)).toBe("x");
      exit.relay = { ...exit.relay, port: await freeQuietPort("127.0.0.2") };
      await mesh.serve(exit, [here(echo)]);
      await mesh.route([exit], [on("exit", echo)]);
      expect(await mesh.answer(peer)).toBe("x");
    });

    test.concurrent("when draining is over at the exit node, not before", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, moving } = relays;
      const { mesh, exit, peer, echo } = await moving({ drainTimeoutMs: 60_000 });
      await mesh.serve(exit, [here(echo, { isDraining: true })]);
      expect(await mesh.answer(peer)).toBe("x");
      const newcomers = await Promise.all([client(), client(), client()]);
      for (const newcomer of newcomers) expect(await mesh.answer(newcomer)).toBe("own x");
      await mesh.serve(exit, []);
      await waitFor(() => exit.refused("session-moved") === 1, { what: "the end of draining" });
    });

    test.concurrent("when its task refuses: the first datagram is sent again to another", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
      const exit = await node("exit", { address: "127.0.0.2" });
      const dead = { port: await freeQuietPort() };
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

    test.concurrent("when its task dies in the middle", async () => {
      await using relays = openUdpRelays(isSealed);
      const { moving } = relays;
      const { mesh, echo, peer } = await moving();
      echo.close();
      peer.send("lost", mesh.published);
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing", { what: "the failure" });
      expect(await mesh.answer(peer)).toBe("own x");
    });

    test.concurrent("when the exit node stops, and says so", async () => {
      await using relays = openUdpRelays(isSealed);
      const { moving } = relays;
      const { mesh, exit, peer } = await moving();
      await exit.stop();
      // the goodbye and the end of the heartbeat overtake each other
      const isGone = () => !mesh.entry.proxy.status().peers[0]!.isReachable;
      await waitFor(() => mesh.entry.status.tasks[0]!.state === "failing" || isGone(), {
        what: "the goodbye",
      });
      expect(await mesh.answer(peer)).toBe("own x");
    });

    test.concurrent("when the exit node has no listener: the first datagram is sent again to another", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, task, start, heart } = relays;
      const mesh = await start();
      const own = await task("own ");
      const port = await freeQuietPort("127.0.0.2");
      heart("127.0.0.2", port);
      const dead = { peer: { name: "exit", address: "127.0.0.2", port, udpPort: port } } as RelayNode;
      await mesh.route([dead], [on("exit", own), here(own)]);
      for (let i = 0; i < 6; i++) expect(await mesh.answer(await client())).toBe("own x");
      expect(mesh.entry.status.tasks[0]!.lastError!.message).toBe("connection refused");
    });

    test.concurrent("when the exit node falls silent", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, task, watched } = relays;
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

    test.concurrent("not when there is no other task; it is served again once the exit node is back", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, pair } = relays;
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
});
