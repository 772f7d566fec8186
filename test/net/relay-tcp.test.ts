/**
 * Published TCP ports whose tasks run on another node, with real sockets on loopback: every byte, both ends, and who the
 * client is.
 *
 *   clients ──▶ entry node, published port ──▶ relay port of the exit node ──▶ its task
 *                    127.0.0.1                        127.0.0.2
 */
import { afterEach, describe, expect, test } from "bun:test";
import { decodeProxyHeader, ProxyHeader } from "../../src/wire/index.ts";
import { Pattern } from "../support/load/pattern.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { allClosed, here, on, type RelayPair, type Rules, startPair } from "../support/relay/relay-mesh.ts";
import { MODES, type RelayNodeOptions } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES = [1, 2, 1023, 1025, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 65_536, MIB];

describe.each(MODES)("%s", (_mode, isSealed) => {
  let pairs: RelayPair[] = [];
  let stream = 0;

  afterEach(async () => {
    for (const { mesh } of pairs) await mesh.stop();
    pairs = [];
  });

  async function pair(rules: Rules = {}, options: RelayNodeOptions = {}): Promise<RelayPair> {
    const started = await startPair(rules, { isSealed, ...options });
    pairs.push(started);
    return started;
  }

  /** One direction from its first byte to FIN. */
  async function transfer(from: RawSocket, to: RawSocket, bytes: number): Promise<void> {
    const pattern = new Pattern(stream++);
    const sending = pattern.send(from, bytes).then(() => from.finish());
    expect(await pattern.receiveToEnd(to)).toEqual({ bytes, how: "end" });
    await sending;
  }

  describe("bytes arrive whole", () => {
    test("of every size, to the task and to the client", async () => {
      const { open, entry, exit } = await pair();
      for (const size of SIZES) {
        const { client, task } = await open();
        await transfer(client, task, size);
        await transfer(task, client, size);
      }
      await allClosed(entry, exit);
      const total = SIZES.reduce((sum, size) => sum + size);
      const counted = { bytesInTotal: total, bytesOutTotal: total, openConnections: 0, relayedOpen: 0 };
      expect(entry.status.tcp).toEqual({ ...counted, acceptedTotal: SIZES.length, relayedTotal: 0 });
      expect(exit.status.tcp).toEqual({ ...counted, acceptedTotal: 0, relayedTotal: SIZES.length });
      for (const { status } of [entry, exit]) {
        expect(status.refusedTotal).toEqual({});
        expect(status.tasks[0]).toMatchObject({ connectionsTotal: SIZES.length, connectFailuresTotal: 0 });
      }
      expect(exit.proxy.status().relay.connectionsRefusedTotal).toEqual({});
    });

    test("message after message, to and fro", async () => {
      const { open } = await pair();
      const { client, task } = await open();
      const [there, back] = [new Pattern(stream++), new Pattern(stream++)];
      for (const size of [...SIZES, ...SIZES.toReversed()]) {
        await Promise.all([there.send(client, size), there.receive(task, size)]);
        await Promise.all([back.send(task, size), back.receive(client, size)]);
      }
    });

    test("of 32 MiB in both directions at once", async () => {
      const { open } = await pair();
      const { client, task } = await open();
      await Promise.all([transfer(client, task, 32 * MIB), transfer(task, client, 32 * MIB)]);
    });

    test("of 60 connections at once, over two workers at both ends", async () => {
      const { mesh, task, entry, exit } = await pair({}, { workers: 2 });
      // a connection's first byte names it: which accepted socket is whose is not known otherwise
      const clients = await Promise.all(Array.from({ length: 60 }, () => mesh.connect()));
      await Promise.all(clients.map((client, index) => client.send(Uint8Array.of(index))));
      await Promise.all(
        clients.map(async () => {
          const served = await mesh.accept(task);
          const client = clients[(await served.receive(1))[0]!]!;
          const bytes = (clients.indexOf(client) + 1) * 5003;
          await Promise.all([transfer(client, served, bytes), transfer(served, client, bytes + 1)]);
        }),
      );
      await allClosed(entry, exit);
      expect(entry.status.tcp.acceptedTotal).toBe(60);
      expect(exit.status.tcp.relayedTotal).toBe(60);
    });

    test("with urgent ones among them, in line", async () => {
      const { open } = await pair();
      const { client, task } = await open();
      for (const [from, to] of [
        [client, task],
        [task, client],
      ] as const) {
        for (let i = 0; i < 20; i++) {
          await from.send("before");
          from.sendUrgent(0x21);
          await from.send("behind");
          expect(await to.receiveText(13)).toBe("before!behind");
        }
      }
      client.sendUrgent(0x3f);
      client.finish();
      expect(await task.receiveRest()).toBe("?");
    });

    test("of a reader that stops and goes on", async () => {
      const { open } = await pair();
      const { client, task } = await open();
      const pattern = new Pattern(stream++);
      await pattern.sendUntilStalled(client, 300);
      const sent = pattern.sentBytes;
      client.finish();
      expect(await pattern.receiveToEnd(task)).toEqual({ bytes: sent, how: "end" });
    });
  });

  describe("who speaks first", () => {
    test("the task: its banner is the first that the client sees", async () => {
      const { mesh, task, entry } = await pair();
      for (const banner of ["\0", "\0\0\0", "\x01", "220 ready\r\n"]) {
        const client = await mesh.connect();
        const served = await mesh.accept(task);
        await served.send(banner);
        served.finish();
        expect(await client.receiveRest()).toBe(banner);
        client.close();
      }
      await allClosed(entry);
    });

    test("the task, at once and then no more: nothing is lost with its FIN", async () => {
      const { mesh, task } = await pair();
      for (let i = 0; i < 50; i++) {
        const connecting = mesh.connect();
        const served = await mesh.accept(task);
        await served.send("\0bye");
        served.close();
        expect(await (await connecting).receiveRest()).toBe("\0bye");
      }
    });

    test("the client, before its node has asked the other", async () => {
      const { mesh, task } = await pair();
      for (let i = 0; i < 50; i++) {
        const client = await mesh.connect();
        await client.send(`hello ${i}`);
        client.finish();
        const served = await mesh.accept(task);
        expect(await served.receiveRest()).toBe(`hello ${i}`);
        await served.send("answer");
        served.close();
        expect(await client.receiveRest()).toBe("answer");
        client.close();
      }
    });

    test("a client that ends at once and says nothing", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      client.close();
      expect(await task.receiveRest()).toBe("");
      task.close();
      await allClosed(entry, exit);
    });
  });

  describe("the end passes through", () => {
    test("half-closed by the client, the task goes on", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      await transfer(client, task, 100_000);
      await transfer(task, client, MIB);
      await allClosed(entry, exit);
    });

    test("half-closed by the task, the client goes on", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      await transfer(task, client, 100_000);
      await transfer(client, task, MIB);
      await allClosed(entry, exit);
    });

    test("as a reset by the client", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      await client.send("x");
      expect(await task.receiveText(1)).toBe("x");
      client.reset();
      expect(await task.failure()).toBe("ECONNRESET");
      await allClosed(entry, exit);
    });

    test("as a reset by the task, behind all it had sent", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      await client.send("x");
      expect(await task.receiveText(1)).toBe("x");
      const pattern = new Pattern(stream++);
      await pattern.send(task, 300_000);
      await waitFor(() => task.unacknowledgedBytes === 0, { what: "all bytes to leave" });
      task.reset();
      expect(await pattern.receiveToEnd(client)).toEqual({ bytes: 300_000, how: "ECONNRESET" });
      await allClosed(entry, exit);
    });

    test("as a reset by the task while the client is silent", async () => {
      const { open, entry, exit } = await pair();
      const { client, task } = await open();
      task.reset();
      expect(await client.failure()).toBe("ECONNRESET");
      await allClosed(entry, exit);
    });
  });

  describe("the task learns", () => {
    /** The PROXY header that the task of a relayed connection gets, and what is behind it. */
    async function headerAtTask(sendProxy: "v1" | "v2", rules: Rules = {}, text = "hello") {
      const { mesh, task, entry } = await pair({ sendProxy, ...rules });
      const client = await mesh.connect();
      await client.send(text);
      client.finish();
      const served = await mesh.accept(task);
      const bytes = Buffer.from(await served.receiveRest(), "latin1");
      const header = decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
      expect(header.status).toBe("complete");
      return { mesh, entry, client, header, bytes, rest: bytes.subarray(header.headerLength).toString() };
    }

    test.each(["v1", "v2"] as const)("the client's and the published address, %s", async (sendProxy) => {
      const { mesh, header, rest, bytes } = await headerAtTask(sendProxy);
      expect(bytes.toString("latin1").startsWith("PROXY")).toBe(sendProxy === "v1");
      expect(header).toMatchObject({ command: "proxy", transport: "tcp" });
      expect(header.source).toMatchObject({ family: 4 });
      expect([...header.source.bytes.subarray(0, 4)]).toEqual([127, 0, 0, 1]);
      expect(header.source.port).toBeGreaterThan(0);
      expect([...header.destination.bytes.subarray(0, 4)]).toEqual([127, 0, 0, 1]);
      expect(header.destination.port).toBe(mesh.published);
      expect(rest).toBe("hello");
    });

    test("the addresses that a balancer in front has named", async () => {
      const named = "PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\nhello";
      const { header, rest } = await headerAtTask("v2", { acceptProxy: ["127.0.0.1"] }, named);
      expect([...header.source.bytes.subarray(0, 4)]).toEqual([192, 0, 2, 7]);
      expect([...header.destination.bytes.subarray(0, 4)]).toEqual([198, 51, 100, 9]);
      expect([header.source.port, header.destination.port]).toEqual([1234, 443]);
      expect(rest).toBe("hello");
    });

    test("the IPv6 address of a client whose node relays over IPv4", async () => {
      const { mesh, entry, exit, task } = await pair();
      await mesh.serve(exit, [here(task)], { sendProxy: "v2" });
      await mesh.route(entry, [exit], [on("exit", task)], { listenAddresses: ["::1"] });
      const connecting = Bun.connect({
        hostname: "::1",
        port: mesh.published,
        socket: { data: () => {}, open: (socket) => void socket.write("hello") },
      });
      const client = mesh.keep(await connecting, (socket) => socket.end());
      const served = await mesh.accept(task);
      const bytes = Buffer.from(await served.receiveText(52 + 5), "latin1");
      const header = decodeProxyHeader(bytes, 0, bytes.length, new ProxyHeader());
      expect(header.source).toMatchObject({ family: 6, port: client.localPort });
      expect([...header.source.bytes.subarray(0, 16)]).toEqual([...Array(15).fill(0), 1]);
      expect(header.destination.port).toBe(mesh.published);
      expect(bytes.subarray(header.headerLength).toString()).toBe("hello");
    });
  });
});
