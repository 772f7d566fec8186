/**
 * What a client sees when the node that runs its task, or the task there, does not serve it: nothing, while another does.
 *
 *   clients ──▶ entry node ──┬─▶ exit nodes, some of them played by the test
 *                            └─▶ a task of its own
 */
import { describe, expect, test } from "bun:test";
import type { ServiceStatus } from "../../src/proxy/index.ts";
import {
  GREETING_BYTES,
  RELAY_CONNECTED,
  RELAY_DRAINING,
  RELAY_NO_SUCH_TASK,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_TASK_REFUSED,
  RELAY_TASK_TIMED_OUT,
} from "../../src/wire/index.ts";
import { freePort } from "../support/os/free-port.ts";
import type { RawListener, RawSocket } from "../support/os/raw-socket.ts";
import { answering, FakeExit, Greeted, greet, type Script, SILENT } from "../support/relay/fake-relay.ts";
import { allClosed, here, on, RelayMesh } from "../support/relay/relay-mesh.ts";
import { MODES, type RelayNode } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const CLIENTS = 6;

/** An entry node with a task of its own, and what a test adds. */
class Entry implements AsyncDisposable {
  private constructor(
    readonly isSealed: boolean,
    readonly mesh: RelayMesh,
    readonly entry: RelayNode,
    readonly own: RawListener,
  ) {}

  static async start(isSealed: boolean): Promise<Entry> {
    const mesh = await RelayMesh.start();
    return new Entry(isSealed, mesh, await mesh.node("entry", { isSealed }), mesh.task());
  }

  fake(script: Script): FakeExit {
    return this.mesh.keep(new FakeExit("fake", script, this.isSealed), (exit) => exit.close());
  }

  /** Clients, one after the other, each served by this task to the end. */
  async serveAll(task: RawListener, count = CLIENTS): Promise<void> {
    for (let i = 0; i < count; i++) {
      const { client, task: served } = await this.mesh.open(task);
      await client.send(`question ${i}`);
      client.finish();
      expect(await served.receiveRest()).toBe(`question ${i}`);
      await served.send(`answer ${i}`);
      served.close();
      expect(await client.receiveRest()).toBe(`answer ${i}`);
      client.close();
    }
  }

  get farTask(): ServiceStatus["tasks"][number] {
    return this.entry.status.tasks[0]!;
  }

  /** A task of the fake node's first, then one of this node's. */
  async besides(exit: { peer: FakeExit["peer"] }): Promise<void> {
    await this.mesh.route(this.entry, [exit], [on(exit.peer.name, { port: 80 }), here(this.own)]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.mesh.stop();
  }
}

describe.each(MODES)("%s", (_mode, isSealed) => {
  describe("clients are served by another task when the exit node", () => {
    test.concurrent("is gone: its port is closed", async () => {
      await using started = await Entry.start(isSealed);
      const { entry, own } = started;
      const port = await freePort();
      await started.besides({ peer: { name: "gone", address: "127.0.0.9", port, udpPort: port, isSealed } });
      await started.serveAll(own);
      expect(entry.proxy.status().peers[0]).toMatchObject({ name: "gone", isReachable: false });
      expect(entry.status.refusedTotal).toEqual({});
    });

    const scripts: readonly (readonly [string, Script, string | null])[] = [
      ["accepts and says nothing", SILENT, null],
      ["greets and says nothing", greet, "timed out"],
      ["answers garbage", (connection) => connection.send("HTTP/1.1 400 Bad Request\r\n\r\n"), null],
      [
        "greets in pieces and goes",
        (connection) => connection.send("\x02half").then(() => connection.close()),
        null,
      ],
      ["resets at once", async (connection) => connection.reset(), null],
      ["greets and resets", (connection) => greet(connection).then(() => connection.reset()), null],
      ["speaks a later version", (connection) => connection.send(Buffer.alloc(GREETING_BYTES, 3)), null],
      ["says that there is no such task", answering(RELAY_NO_SUCH_TASK), "not found"],
      ["says that the task refused", answering(RELAY_TASK_REFUSED), "connection refused"],
      ["says that the task timed out", answering(RELAY_TASK_TIMED_OUT), "timed out"],
      ["says that it drains", answering(RELAY_DRAINING), "shutting down"],
      ["says that it has no descriptors", answering(RELAY_OUT_OF_DESCRIPTORS), "descriptor"],
      ["says what no one knows", answering(99), "not found"],
      ["answers with an answer and more", answering("\x02garbage"), isSealed ? null : "connection refused"],
    ];
    test.concurrent.each(scripts)("%s", async (_, script, message) => {
      await using started = await Entry.start(isSealed);
      const { entry, own } = started;
      const exit = started.fake(script);
      await started.besides(exit);
      await started.serveAll(own);
      await waitFor(() => exit.accepted > 0, { what: "the exit node to be tried" });
      expect(started.farTask.connectionsTotal).toBe(0);
      expect(entry.status.refusedTotal).toEqual({});
      expect(entry.status.tasks[1]!.connectionsTotal).toBe(CLIENTS);
      // a failure of the node is its own, not its task's
      if (message === null) return;
      // one that says nothing may be slow: to have been overtaken is no failure by itself
      await waitFor(() => started.farTask.state === "failing", { what: "the failure" });
      expect(started.farTask.lastError!.message.toLowerCase()).toContain(message);
    });
  });

  test.concurrent("the exit node's task refuses: the next one serves, and both nodes say why", async () => {
    await using started = await Entry.start(isSealed);
    const { mesh, entry, own } = started;
    const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
    const dead = { port: await freePort() };
    await mesh.serve(exit, [here(dead)]);
    await mesh.route(entry, [exit], [on("exit", dead), here(own)]);
    await started.serveAll(own);
    await waitFor(() => started.farTask.state === "failing", { what: "the failure" });
    expect(started.farTask.lastError!.message).toBe("connection refused");
    expect(exit.status.tasks[0]!.lastError!.message).toBe("connection refused");
    expect(exit.proxy.status().relay.connectionsRefusedTotal).toMatchObject({
      "task-failed": expect.any(Number),
    });
    expect(entry.proxy.status().peers[0]).toMatchObject({ isReachable: true, failuresTotal: 0 });
    await allClosed(entry, exit);
  });

  test.concurrent("the only task refuses: the client is reset, and both nodes say why", async () => {
    await using started = await Entry.start(isSealed);
    const { mesh, entry } = started;
    const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
    const dead = { port: await freePort() };
    await mesh.serve(exit, [here(dead)]);
    await mesh.route(entry, [exit], [on("exit", dead)]);
    // the reset may be there before the client has looked whether it is connected
    const end = await mesh.connect().then(
      (client) => client.failure(),
      ({ code }: NodeJS.ErrnoException) => code,
    );
    expect(end).toBe("ECONNRESET");
    await waitFor(() => entry.refused("no-task") === 1, { what: "the refusal to be counted" });
    await allClosed(entry, exit);
    expect(exit.status.refusedTotal).toEqual({});
  });

  test.concurrent("a name of the task that has several addresses there: the exit node finds the one that works", async () => {
    await using started = await Entry.start(isSealed);
    const { mesh, entry, own } = started;
    const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
    const name = { name: "web.internal" };
    await mesh.serve(exit, [
      here(own, { ...name, address: "127.0.0.66" }),
      here(own, { ...name, address: "127.0.0.1" }),
    ]);
    await mesh.route(entry, [exit], [on("exit", own, name)]);
    await started.serveAll(own);
    expect(entry.status.tasks[0]).toMatchObject({ connectionsTotal: CLIENTS, connectFailuresTotal: 0 });
  });

  test.concurrent("a task whose name no header has room for: its node is not to blame", async () => {
    await using started = await Entry.start(isSealed);
    const { mesh, entry, own } = started;
    const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
    const far = mesh.task();
    const name = "x".repeat(256);
    await mesh.serve(exit, [here(far), here(own, { name })]);
    await mesh.route(entry, [exit], [on("exit", own, { name }), on("exit", far)]);
    await started.serveAll(far);
    expect(started.farTask.lastError!.message).toBe("message too long");
    expect(exit.proxy.status().relay.connectionsRefusedTotal).toEqual({});
    expect(entry.proxy.status().peers[0]!.failuresTotal).toBe(0);
  });

  test.concurrent("a slow exit node is overtaken and notified", async () => {
    await using started = await Entry.start(isSealed);
    const { entry, own } = started;
    const asked: RawSocket[] = [];
    const exit = started.fake(async (connection) => {
      const greeted = await Greeted.greet(connection);
      if ((await greeted.question()) === "client") asked.push(connection);
    });
    await started.besides(exit);
    await started.serveAll(own);
    await waitFor(() => asked.length > 0, { what: "the exit node to be asked" });
    // it would connect to its task in vain
    for (const connection of asked) expect(await connection.failure()).toBe("ECONNRESET");
    await allClosed(entry);
  });

  test.concurrent("a slow exit node that answers first after all wins, and the rival is let go", async () => {
    await using started = await Entry.start(isSealed);
    const { mesh, entry } = started;
    let isAsked = false;
    const slow = started.fake(async (connection) => {
      const greeted = await Greeted.greet(connection);
      if ((await greeted.question()) !== "client") return;
      isAsked = true;
      await waitFor(() => rival.accepted > 1, { what: "the rival to be asked" });
      await greeted.send(Uint8Array.of(RELAY_CONNECTED));
      await greeted.send("hi");
    });
    const rival = mesh.keep(new FakeExit("rival", SILENT, isSealed), (exit) => exit.close());
    await mesh.route(entry, [slow, rival], [on("fake", { port: 80 }), on("rival", { port: 80 })], {
      prefer: "any",
    });
    const client = await mesh.connect();
    expect(await client.receiveText(2)).toBe("hi");
    expect(isAsked).toBe(true);
    client.reset();
    await allClosed(entry);
  });

  describe("a connection that had waited for a client", () => {
    test.concurrent("and is dead since the exit node's restart costs no client anything", async () => {
      await using started = await Entry.start(isSealed);
      const { mesh, entry } = started;
      const far = mesh.task();
      for (let round = 0; round < 5; round++) {
        const port = round === 0 ? undefined : entry.proxy.status().peers[0]!.port;
        const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed, ...(port && { port }) });
        await mesh.serve(exit, [here(far)]);
        await mesh.route(entry, [exit], [on("exit", far)]);
        await started.serveAll(far, 3);
        await exit.stop();
        const again = await mesh.node("exit", { address: "127.0.0.2", isSealed, port: exit.relay.port });
        await mesh.serve(again, [here(far)]);
        await started.serveAll(far, 3);
        await again.stop();
      }
      expect(entry.status.refusedTotal).toEqual({});
    });

    test.concurrent("is used; there are no more of them than are needed", async () => {
      await using started = await Entry.start(isSealed);
      const { mesh, entry } = started;
      const waiting = new Set<RawSocket>();
      let greeted = 0;
      const exit = started.fake(async (connection) => {
        const line = await Greeted.greet(connection);
        greeted++;
        waiting.add(connection);
        const question = await line.question();
        waiting.delete(connection);
        if (question !== "client") return;
        await line.send(Uint8Array.of(RELAY_CONNECTED));
        await line.send(await line.receive());
        await line.finish();
      });
      await mesh.route(entry, [exit], [on("fake", { port: 80 })]);
      await waitFor(() => waiting.size === 1, { what: "a connection that waits, and a heartbeat" });
      for (let i = 0; i < 20; i++) {
        const client = await mesh.connect();
        await client.send("echo");
        expect(await client.receiveRest()).toBe("echo");
        await waitFor(() => waiting.size > 0, { what: "another to wait" });
        client.close();
      }
      await allClosed(entry);
      // a heartbeat, 20 clients, and those that wait
      expect(greeted).toBeLessThanOrEqual(1 + 20 + 2);
    });

    test.concurrent("is one of a bounded number, however many clients come at once", async () => {
      await using started = await Entry.start(isSealed);
      const { mesh, entry } = started;
      const exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
      const far = mesh.task();
      await mesh.serve(exit, [here(far)]);
      await mesh.route(entry, [exit], [on("exit", far)]);
      const clients = await Promise.all(Array.from({ length: 300 }, () => mesh.connect()));
      await Promise.all(clients.map(() => mesh.accept(far)));
      expect(exit.status.tcp.relayedOpen).toBe(300);
      for (const client of clients) client.reset();
      await allClosed(entry, exit);
    });
  });
});
