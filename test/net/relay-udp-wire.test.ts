/** What is sent between the nodes of a UDP service: repeated, changed, lost, under other keys. See test/support/relay/udp-mesh.ts for the picture. */
import { describe, expect, test } from "bun:test";
import { RELAY_DATA, RELAY_HELLO } from "../../src/wire/index.ts";
import { MODES } from "../support/relay/relay-node.ts";
import { here, on, openUdpRelays } from "../support/relay/udp-mesh.ts";
import { waitFor } from "../support/time/wait-for.ts";

describe.each(MODES)("%s", (_mode, isSealed) => {
  describe("between the nodes", () => {
    test.concurrent("recorded datagrams sent again are dropped and counted, at both ends", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, watched } = relays;
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

    test.concurrent("changed datagrams are dropped and counted, at both ends", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, watched } = relays;
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

    test.concurrent("only what is lost is lost, whichever datagram it is", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, watched } = relays;
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

    test.concurrent("an exit node without the key serves no client, and counts", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const mesh = await start();
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

    test.concurrent("HELLOs from anywhere are answered with no more than they are, and nothing is kept", async () => {
      await using relays = openUdpRelays(isSealed);
      const { client, watched } = relays;
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

    test.concurrent("sessions continue over an unnoticed restart of the exit node", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, watched } = relays;
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

    test.concurrent("keys are changed one after the other without losing anything; an old one is of no use", async () => {
      await using relays = openUdpRelays(isSealed);
      const { node, client, task, start } = relays;
      const [old, next, other] = ["5a".repeat(32), "77".repeat(32), "88".repeat(32)];
      const mesh = await start({}, { keys: [next, old] });
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
