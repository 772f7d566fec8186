/**
 * What a relay port does with whoever connects to it: only a node of the cluster gets anywhere, and only to the tasks
 * that this node has declared.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  encodeProxyV2,
  RELAY_CONNECTED,
  RELAY_DRAINING,
  RELAY_NO_SUCH_TASK,
  RELAY_TASK_REFUSED,
} from "../../src/wire/index.ts";
import { freePort } from "../support/os/free-port.ts";
import { descriptorsOf } from "../support/os/process-stats.ts";
import { RawSocket } from "../support/os/raw-socket.ts";
import { type Asked, type GuestOptions, RelayGuest } from "../support/relay/fake-relay.ts";
import { allClosed, here, on, RelayMesh } from "../support/relay/relay-mesh.ts";
import { MODES, RELAY_KEY, type RelayNode } from "../support/relay/relay-node.ts";
import { waitFor } from "../support/time/wait-for.ts";

const MANY = 5_000;
const AT_ONCE = 100;
/** Of a PROXY header. */
const LENGTH_AT = 14;

describe.each(MODES)("%s", (_mode, isSealed) => {
  let mesh: RelayMesh;
  let exit: RelayNode;
  let task: ReturnType<RelayMesh["task"]>;
  let asked: Asked;

  beforeEach(async () => {
    mesh = await RelayMesh.start();
    exit = await mesh.node("exit", { address: "127.0.0.2", isSealed });
    task = mesh.task();
    asked = { task: `task-${task.port}`, targetPort: task.port };
    await mesh.serve(exit, [here(task)]);
  });
  afterEach(() => mesh.stop());

  async function guest(): Promise<RelayGuest> {
    return mesh.keep(await RelayGuest.connect(exit), ({ socket }) => socket.close());
  }

  function refused(reason: string): number {
    return exit.proxy.status().relay.connectionsRefusedTotal[reason] ?? 0;
  }

  async function answerTo(question: Asked, options: GuestOptions = {}): Promise<number | null> {
    const asking = await guest();
    await asking.ask(question, options);
    return asking.answer();
  }

  async function isReset(asking: RelayGuest, reason: string, count = 1): Promise<void> {
    expect(await asking.socket.failure()).toBe("ECONNRESET");
    await waitFor(() => refused(reason) === count, { what: `the refusal to be counted as ${reason}` });
    expect(exit.status.tcp.relayedTotal).toBe(0);
    expect(await task.hasWaiting()).toBe(false);
  }

  test("a relay with the key reaches the task, also in pieces", async () => {
    expect(await answerTo(asked)).toBe(RELAY_CONNECTED);
    const slow = await guest();
    for (const byte of slow.header(asked)) await slow.socket.send(Uint8Array.of(byte));
    expect(await slow.answer()).toBe(RELAY_CONNECTED);
    await slow.send("hello");
    await mesh.accept(task);
    expect(await (await mesh.accept(task)).receiveText(5)).toBe("hello");
    expect(exit.proxy.status().relay.connectionsRefusedTotal).toEqual({});
  });

  test("every connection has a challenge of its own", async () => {
    const challenges = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const { socket, challenge } = await RelayGuest.connect(exit);
      challenges.add(challenge.toHex());
      socket.close();
    }
    expect(challenges.size).toBe(300);
  });

  describe("reset and counted:", () => {
    /** A proof covers the greeting, so that of another connection proves nothing. */
    const replayed = isSealed ? "unauthentic" : "replayed";

    test("a header that was written for another connection", async () => {
      const [first, second] = [await guest(), await guest()];
      const header = first.header(asked);
      await first.socket.send(header);
      expect(await first.answer()).toBe(RELAY_CONNECTED);
      (await mesh.accept(task)).close();
      await second.socket.send(header);
      expect(await second.socket.failure()).toBe("ECONNRESET");
      await waitFor(() => refused(replayed) === 1, { what: "the replay to be counted" });
      expect(exit.status.tcp.relayedTotal).toBe(1);
    });

    test("one of a heartbeat that was written for another connection", async () => {
      const asking = await guest();
      await asking.ask(null, { greeting: (await guest()).greeting });
      await isReset(asking, replayed);
    });

    test.each([
      ["signed with another key", { key: "77".repeat(32) }],
      ["signed for another exit node", { exit: "exit-2" }],
      ["signed for no node", { exit: "" }],
    ])("a header %s", async (_, options) => {
      for (const question of [asked, null]) {
        const asking = await guest();
        await asking.ask(question, options);
        await isReset(asking, "unauthentic", question === null ? 2 : 1);
      }
    });

    test("a header with a byte changed, whichever it is", async () => {
      const length = (await guest()).header(asked).length;
      for (let at = 0; at < length; at++) {
        // a greater length is waited for
        if (at === LENGTH_AT || at === LENGTH_AT + 1) continue;
        const asking = await guest();
        const header = asking.header(asked);
        await asking.socket.send(header.with(at, header[at]! ^ 0x41));
        expect(await asking.socket.failure()).toBe("ECONNRESET");
        asking.socket.close();
      }
      expect(exit.status.tcp.relayedTotal).toBe(0);
      expect(await task.hasWaiting()).toBe(false);
    });

    test("what is no header", async () => {
      const plain = new Uint8Array(28);
      const anyone = { family: 4, bytes: new Uint8Array(4), offset: 0, port: 1 } as const;
      encodeProxyV2(anyone, anyone, "tcp", plain, 0);
      const all = [
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02",
        "PROXY UNKNOWN\r\n",
        plain,
        Buffer.alloc(4000),
      ];
      for (const [index, bytes] of all.entries()) {
        const asking = await guest();
        await asking.socket.send(bytes);
        await isReset(asking, "malformed", index + 1);
      }
    });

    test("what follows a header before its answer", async () => {
      const asking = await guest();
      await asking.socket.send(Uint8Array.of(...asking.header(asked), 120));
      await isReset(asking, "malformed");
    });

    test("a header that does not end", async () => {
      const asking = await guest();
      await asking.socket.send(asking.header(asked).subarray(0, -1));
      await isReset(asking, "stale");
    });
  });

  describe("answered and counted:", () => {
    const elsewhere = { name: "elsewhere", node: "other", address: "127.0.0.1" };

    /** What the exit node says, and that it has connected to nobody. */
    async function refusal(question: Asked): Promise<number | null> {
      const answer = await answerTo(question);
      expect(await task.hasWaiting()).toBe(false);
      return answer;
    }

    test("a task, service or port that this node has not declared", async () => {
      const questions: readonly Asked[] = [
        { ...asked, task: "127.0.0.1" },
        { ...asked, task: `127.0.0.1:${task.port}` },
        { ...asked, task: `${asked.task} ` },
        { ...asked, targetPort: await freePort() },
        { ...asked, targetPort: 0 },
        { ...asked, service: "other" },
        { ...asked, service: "constructor", task: "__proto__" },
        { service: "test tcp", task: `${asked.task} ${task.port}`, targetPort: task.port },
      ];
      for (const question of questions)
        expect([question, await refusal(question)]).toEqual([question, RELAY_NO_SUCH_TASK]);
      await waitFor(() => refused("no-such-task") === questions.length, { what: "all to be counted" });
      expect(exit.status.tcp.relayedTotal).toBe(0);
    });

    test("another node's task: no node relays for a third", async () => {
      const other = await mesh.node("other", { address: "127.0.0.3" });
      const service = mesh.service([{ ...elsewhere, port: task.port }]);
      await exit.apply([other.peer], { ...service, listenAddresses: [] });
      expect(await refusal({ task: "elsewhere", targetPort: task.port })).toBe(RELAY_NO_SUCH_TASK);
    });

    test("a task that only a port of mode host leads to", async () => {
      const host = { protocol: "tcp", published: mesh.published, target: task.port, mode: "host" } as const;
      await mesh.serve(exit, [here(task)], { ports: [host] });
      expect(await refusal(asked)).toBe(RELAY_NO_SUCH_TASK);
      await mesh.serve(exit, [here(task)], { ports: [host, { ...host, published: 9, mode: "ingress" }] });
      expect(await answerTo(asked)).toBe(RELAY_CONNECTED);
    });

    test("a task of a service for datagrams", async () => {
      const udp = { protocol: "udp", published: mesh.published, target: task.port, mode: "ingress" } as const;
      await mesh.serve(exit, [here(task)], { ports: [udp] });
      expect(await refusal(asked)).toBe(RELAY_NO_SUCH_TASK);
    });

    test("a task that drains, and one that refuses", async () => {
      const dead = { port: await freePort() };
      await mesh.serve(exit, [here(task, { isDraining: true }), here(dead)]);
      expect(await refusal(asked)).toBe(RELAY_DRAINING);
      expect(await refusal({ task: `task-${dead.port}`, targetPort: dead.port })).toBe(RELAY_TASK_REFUSED);
      await waitFor(() => refused("draining") + refused("task-failed") === 2, { what: "both to be counted" });
    });
  });

  test(`${MANY} strangers who say nothing do not keep nodes out, nor cost more than so many descriptors`, async () => {
    const descriptors = () => descriptorsOf(process.pid);
    const entry = await mesh.node("entry", { isSealed });
    await mesh.route(entry, [exit], [on("exit", task)]);
    const before = descriptors();
    const strangers: RawSocket[] = [];
    const serve = async () => {
      const { client, task: served } = await mesh.open(task);
      await served.send("served");
      expect(await client.receiveText(6)).toBe("served");
      client.close();
      served.close();
    };
    const { address, port } = exit.peer;
    for (let count = 0; count < MANY; count += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, () => RawSocket.connect(port, { to: address }));
      strangers.push(...(await Promise.all(some)));
      if (count % 1000 === 0) await serve();
    }
    for (let i = 0; i < 20; i++) await serve();
    // they have no more than 4096; the rest is the other ends of the strangers' own, and what the nodes keep
    expect(descriptors() - before).toBeLessThan(MANY + 4096 + 100);
    expect(refused("stale")).toBeGreaterThan(MANY - 4096 - 100);
    expect(entry.proxy.status().peers[0]!.isReachable).toBe(true);
    for (const stranger of strangers) stranger.close();
    await allClosed(entry, exit);
    await waitFor(() => descriptors() < before + 50, { what: "the descriptors to come back" });
    expect(entry.status.refusedTotal).toEqual({});
  }, 60_000);

  test("a heartbeat's bytes come back, whatever they are", async () => {
    const asking = await guest();
    await asking.ask(null, { key: RELAY_KEY });
    expect(await asking.answer()).toBe(RELAY_CONNECTED);
    for (const beat of [0x2e, 0, 0xff, 0x47]) {
      await asking.send(Uint8Array.of(beat));
      expect(await asking.receive(1)).toEqual(Uint8Array.of(beat));
    }
    asking.socket.finish();
    expect(await asking.socket.receiveRest()).toBe("");
  });
});
