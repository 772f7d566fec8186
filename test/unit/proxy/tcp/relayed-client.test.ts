/**
 * A client of one node and a task of another, both nodes in memory:
 *
 *   client ──▶ entry worker ══ relay connection ══▶ exit worker ──▶ task
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RELAY_ERRORS } from "../../../../src/proxy/table/counters.ts";
import { type MemorySocket, MemorySockets } from "../../../support/proxy/memory-sockets.ts";
import { MemoryWorker, NOTHING_IN_USE } from "../../../support/proxy/memory-worker.ts";

const RELAY = 4789;
const TASK = 80;
const KEYS = ["5a".repeat(32)];
const FAR = { name: "web", node: "exit", distance: "far", address: "web.internal", port: TASK } as const;
const OWN = { name: "web", address: "127.0.0.1", port: TASK } as const;

describe.each([
  ["sealed", true],
  ["clear", false],
] as const)("%s", (_how, isSealed) => {
  const peer = { name: "exit", address: "192.0.2.2", port: RELAY, udpPort: RELAY, slot: 0, isSealed };
  let sockets: MemorySockets;
  let entry: MemoryWorker;
  let exit: MemoryWorker;

  function start(service = {}): void {
    sockets = new MemorySockets();
    exit = new MemoryWorker({
      sockets,
      service: { tasks: [OWN], ...service },
      relay: { node: "exit", keys: KEYS, acceptsClear: isSealed ? [] : "always" },
    });
    exit.serveRelay(RELAY);
    entry = new MemoryWorker({
      sockets,
      service: { tasks: [FAR], ...service },
      peers: [peer],
      relay: { node: "entry", keys: KEYS, acceptsClear: [] },
    });
    sockets.run();
  }

  beforeEach(() => start());

  afterEach(() => {
    for (const worker of [entry, exit]) for (const client of worker.clients.all()) client.cut();
    sockets.run();
    expect([entry.inUse, exit.inUse]).toEqual([NOTHING_IN_USE, NOTHING_IN_USE]);
  });

  function open(): { client: MemorySocket; task: MemorySocket } {
    const client = entry.connect((client) => client.write("hello"));
    sockets.run();
    const task = sockets.port(TASK).last;
    expect(task.read()).toBe("hello");
    return { client, task };
  }

  function refusals(worker: MemoryWorker): string[] {
    const counts = worker.counters.relayRefusals[0]!;
    return RELAY_ERRORS.filter((_reason, index) => counts[index]! > 0);
  }

  test("bytes pass both ways, each node counts the connection as its own kind", () => {
    const { client, task } = open();
    task.write("world");
    sockets.run();
    expect(client.read()).toBe("world");
    expect([entry.inUse.clients, entry.inUse.relayed, exit.inUse.clients, exit.inUse.relayed]).toEqual([
      1, 0, 0, 1,
    ]);
  });

  test("what is between the nodes is readable only in clear", () => {
    const { client, task } = open();
    client.write("secret words");
    sockets.run();
    expect(task.read()).toBe("secret words");
    const [relay] = sockets.port(RELAY).accepted;
    expect(Buffer.concat(relay!.arrived).includes("secret words")).toBe(!isSealed);
  });

  test("half-close by the client, then by the task", () => {
    const { client, task } = open();
    client.end();
    sockets.run();
    expect([task.state, client.state]).toEqual(["ended", "open"]);
    task.write("answer");
    task.end();
    sockets.run();
    expect([client.read(), client.state]).toEqual(["answer", "ended"]);
    expect([entry.reasons(), exit.reasons()]).toEqual([["done"], ["done"]]);
  });

  test("half-close by the task, then by the client", () => {
    const { client, task } = open();
    task.end();
    sockets.run();
    expect([client.state, task.state]).toEqual(["ended", "open"]);
    client.write("thanks");
    client.end();
    sockets.run();
    expect([task.read(), task.state]).toEqual(["thanks", "ended"]);
    expect([entry.reasons(), exit.reasons()]).toEqual([["done"], ["done"]]);
  });

  test("the client's reset reaches the task behind all it had sent", () => {
    const { client, task } = open();
    client.write("last words");
    client.reset();
    sockets.advance(1_000);
    expect([task.read(), task.state, task.hasEnded]).toEqual(["last words", "reset", false]);
    expect([entry.reasons(), exit.reasons()]).toEqual([["client-reset"], ["client-reset"]]);
  });

  test("the task's reset reaches the client behind all it had sent", () => {
    const { client, task } = open();
    task.write("last words");
    task.reset();
    sockets.advance(1_000);
    expect([client.read(), client.state, client.hasEnded]).toEqual(["last words", "reset", false]);
    expect([entry.reasons(), exit.reasons()]).toEqual([["task-reset"], ["task-reset"]]);
  });

  test("a long stream arrives whole, past a slow reader", () => {
    const { client, task } = open();
    task.windowBytes = task.other!.sendBytes = 3_000;
    const text = Array.from({ length: 200_000 }, (_, index) => String.fromCharCode(index % 251)).join("");
    client.sendBytes = text.length;
    client.write(text);
    client.end();
    let received = "";
    for (let reads = 0; task.state === "open" && reads < 1_000; reads++) {
      sockets.run();
      received += task.read();
    }
    expect(received + task.read() === text).toBe(true);
  });

  test("a task that refuses: the client fails as with a task of its own node", () => {
    sockets.port(TASK).mode = "refuse";
    const client = entry.connect();
    sockets.run();
    expect([client.state, entry.reasons(), exit.reasons()]).toEqual(["reset", ["no-task"], ["done"]]);
    expect(refusals(exit)).toEqual(["task-failed"]);
  });

  test("a task that never accepts: the exit node answers, and the client fails", () => {
    sockets.port(TASK).mode = "silent";
    const client = entry.connect();
    sockets.advance(120_000);
    expect([client.state, entry.reasons(), exit.reasons()]).toEqual(["reset", ["no-task"], ["done"]]);
    sockets.port(TASK).refusePending();
    sockets.run();
  });

  test("a client that is gone while its task is dialed: nothing is left at the exit node", () => {
    sockets.port(TASK).mode = "silent";
    const client = entry.connect();
    sockets.run();
    client.reset();
    sockets.run();
    expect([entry.reasons(), exit.reasons(), sockets.port(TASK).pending[0]!.isClosed]).toEqual([
      ["client-gone"],
      ["client-gone"],
      true,
    ]);
  });

  test("out of descriptors: the exit node says so, which is no failure of its task", () => {
    sockets.run();
    sockets.descriptorsLeft = 0;
    entry.connect();
    sockets.advance(6_000);
    expect(entry.reasons()).toEqual(["no-task"]);
    expect(refusals(exit)).toEqual(["out-of-descriptors"]);
    exit.gate.release();
    entry.gate.release();
  });

  test("a task that drains gets no client of another node", () => {
    exit.apply({ tasks: [{ ...OWN, isDraining: true }] });
    entry.connect();
    sockets.advance(1_000);
    expect([entry.reasons(), refusals(exit)]).toEqual([["no-task"], ["draining"]]);
  });

  test("a task that the exit node does not have", () => {
    exit.apply({ tasks: [{ ...OWN, name: "other" }] });
    entry.connect();
    sockets.advance(1_000);
    expect([entry.reasons(), refusals(exit)]).toEqual([["no-task"], ["no-such-task"]]);
  });

  test("the drain time of the task is over: the client is reset on both nodes", () => {
    const { client, task } = open();
    exit.clients.all()[0]!.cut();
    sockets.advance(1_000);
    expect([client.state, task.state, exit.reasons()]).toEqual(["reset", "reset", ["drained"]]);
  });

  describe("a node that is gone", () => {
    test.each([
      ["entry", 6, "task-reset"],
      ["exit", 8, "client-reset"],
    ] as const)(
      "is noticed by the %s node after %d transmissions without an answer",
      (side, limit, reason) => {
        open();
        const [atExit] = sockets.port(RELAY).accepted;
        const [worker, socket] = side === "entry" ? [entry, atExit!.other!] : [exit, atExit!];
        socket.unanswered = limit - 1;
        sockets.advance(20_000);
        expect(worker.reasons()).toEqual([]);
        socket.unanswered = limit;
        sockets.advance(10_000);
        expect(worker.reasons()).toEqual([reason]);
      },
    );

    test("is left to TCP by the entry node while its heartbeat is heard", () => {
      open();
      const socket = sockets.port(RELAY).accepted[0]!.other!;
      entry.targets[0]!.peer!.onHeartbeat(1);
      socket.unanswered = 20;
      sockets.advance(60_000);
      expect(entry.reasons()).toEqual([]);
    });

    test("is noticed before a long idle timeout is over, which counts nevertheless", () => {
      start({ idleTimeoutMs: 600_000 });
      open();
      sockets.advance(590_000);
      expect([entry.reasons(), exit.reasons()]).toEqual([[], []]);
      sockets.advance(15_000);
      expect(entry.reasons().concat(exit.reasons())).toContain("idle");
    });
  });
});
