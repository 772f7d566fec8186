/**
 * A client's connection while bytes pass between it and its task:
 *
 *   Opening ──▶ both flows open ──FIN──▶ one has ended ──FIN──▶ closed
 *                      │                       │
 *                      ├──reset──▶ Closing ◀───┤
 *                      └──idle, drained, ...───┴──────▶ closed
 */
import { afterEach, describe, expect, test } from "bun:test";
import { S_BYTES_IN, S_BYTES_OUT } from "../../../../src/proxy/table/counters.ts";
import type { MemorySocket, MemorySockets } from "../../../support/proxy/memory-sockets.ts";
import { MemoryWorker, NOTHING_IN_USE, type WorkerOptions } from "../../../support/proxy/memory-worker.ts";

const TASK = 80;
const IDLE_MS = 60_000;

let worker: MemoryWorker;
let sockets: MemorySockets;
/** The far ends. */
let client: MemorySocket;
let task: MemorySocket;

/** A connection that has carried "hello". */
function open(service: Partial<WorkerOptions["service"]> = {}, options: Partial<WorkerOptions> = {}): void {
  worker = new MemoryWorker({ service: { tasks: [TASK], ...service }, ...options });
  ({ sockets } = worker);
  client = worker.connect((client) => client.write("hello"));
  task = sockets.port(TASK).last;
  sockets.run();
  expect(task.read()).toBe("hello");
}

/** So long nothing happens but that bytes go to and fro, a second apart. */
function talk(seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    client.write("?");
    sockets.advance(500);
    task.write("!");
    sockets.advance(500);
    expect(task.read() + client.read()).toBe("?!");
  }
}

afterEach(() => {
  for (const client of worker.clients.all()) client.cut();
  sockets.run();
  expect(worker.inUse).toEqual(NOTHING_IN_USE);
});

test("bytes pass both ways and are counted while the connection is open", () => {
  open();
  task.write("world");
  sockets.run();
  expect(client.read()).toBe("world");
  const { row, at } = worker.route.rules;
  expect([row[at + S_BYTES_IN], row[at + S_BYTES_OUT]]).toEqual([5, 5]);
});

test("the task may speak first", () => {
  worker = new MemoryWorker({ service: { tasks: [TASK] } });
  ({ sockets } = worker);
  client = worker.connect();
  sockets.port(TASK).last.write("220 ready");
  sockets.run();
  expect(client.read()).toBe("220 ready");
});

test("Nagle is off from the second message on, and stays on for a single one", () => {
  open();
  expect(task.other!.options).toEqual(["oobinline"]);
  client.write("again");
  sockets.run();
  expect(task.other!.options).toEqual(["oobinline", "nodelay"]);
});

describe("half-close", () => {
  test("by the client: the task goes on, and ends the connection with its own FIN", () => {
    open();
    client.write("bye");
    client.end();
    sockets.run();
    expect([task.read(), task.state, client.state]).toEqual(["bye", "ended", "open"]);
    task.write("still here");
    sockets.run();
    expect(client.read()).toBe("still here");
    task.end();
    sockets.run();
    expect([client.state, worker.reasons()]).toEqual(["ended", ["done"]]);
  });

  test("by the task: the client goes on, and ends the connection with its own FIN", () => {
    open();
    task.write("bye");
    task.end();
    sockets.run();
    expect([client.read(), client.state, task.state]).toEqual(["bye", "ended", "open"]);
    client.write("still here");
    sockets.run();
    expect(task.read()).toBe("still here");
    client.end();
    sockets.run();
    expect([task.state, worker.reasons()]).toEqual(["ended", ["done"]]);
  });

  test("by both at once", () => {
    open();
    client.end();
    task.end();
    sockets.run();
    expect([client.state, task.state, worker.reasons()]).toEqual(["ended", "ended", ["done"]]);
  });

  test("of a client whose last bytes the task takes late: FIN stays behind them", () => {
    open();
    task.windowBytes = task.other!.sendBytes = 10;
    client.write("x".repeat(100));
    client.end();
    sockets.run();
    let received = "";
    while (task.state === "open") {
      received += task.read(7);
      sockets.run();
    }
    expect((received + task.read()).length).toBe(100);
  });

  test("lasts: neither keeps the other from being idle for long", () => {
    open();
    client.end();
    sockets.advance(24 * 3_600_000);
    task.write("late");
    sockets.run();
    expect(client.read()).toBe("late");
  });
});

describe("a peer that does not read", () => {
  test.each(["copied", "spliced"])("stops the other, and everything arrives in the end (%s)", (how) => {
    open({}, { maxPipes: how === "spliced" ? 4 : 0 });
    const pattern = Array.from({ length: 300_000 }, (_, index) => String.fromCharCode(index % 251)).join("");
    client.windowBytes = client.other!.sendBytes = 1_000;
    task.sendBytes = pattern.length;
    task.write(pattern);
    sockets.run();
    const held = pattern.length - task.queue.length - task.other!.incoming.length;
    expect(held).toBeLessThanOrEqual(2_000 + 64 * 1024); // one block or pipe, and the client's socket
    let received = "";
    for (let reads = 0; received.length < pattern.length && reads < 10_000; reads++) {
      received += client.read(777);
      sockets.run();
    }
    expect(received === pattern).toBe(true);
  });

  test("does not stop the other direction", () => {
    open();
    client.windowBytes = client.other!.sendBytes = 10;
    task.write("x".repeat(1_000));
    sockets.run();
    client.write("I am reading nothing");
    sockets.run();
    expect(task.read()).toBe("I am reading nothing");
  });
});

test("urgent bytes stay in their place, also in a long stream", () => {
  open({}, { maxPipes: 4 });
  client.write("a".repeat(100_000));
  sockets.turn();
  client.writeUrgent("!");
  client.write("b".repeat(1_000));
  sockets.run();
  expect(task.read() === `${"a".repeat(100_000)}!${"b".repeat(1_000)}`).toBe(true);
});

test("an urgent byte between others of the same moment holds nothing up", () => {
  open();
  client.write("aaa");
  client.writeUrgent("!");
  client.write("bbb");
  sockets.run();
  expect(task.read()).toBe("aaa!bbb");
});

test("a busy connection leaves the others their turn", () => {
  open();
  client.write("x".repeat(1_000_000));
  sockets.turn();
  expect(task.read().length).toBeLessThan(1_000_000);
  const other = worker.connect((other) => other.write("me too"));
  sockets.turn();
  expect(sockets.port(TASK).last.read()).toBe("me too");
  other.reset();
  sockets.run();
});

describe("idle timeout", () => {
  test("ends a silent connection", () => {
    open({ idleTimeoutMs: 2_000 });
    sockets.advance(1_999);
    expect(worker.reasons()).toEqual([]);
    sockets.advance(1);
    expect([client.state, task.state, worker.reasons()]).toEqual(["reset", "reset", ["idle"]]);
  });

  test("starts again with every byte, in either direction", () => {
    open({ idleTimeoutMs: 2_000 });
    talk(10);
    sockets.advance(1_400);
    expect(worker.reasons()).toEqual([]);
    sockets.advance(600);
    expect(worker.reasons()).toEqual(["idle"]);
  });

  test("spares a peer that still reads what the kernel holds for it, not one that reads nothing", () => {
    open({ idleTimeoutMs: 2_000 });
    client.windowBytes = 10;
    task.write("x".repeat(100));
    sockets.run();
    for (let i = 0; i < 5; i++) {
      sockets.advance(1_999);
      client.read(5);
    }
    expect(worker.reasons()).toEqual([]);
    sockets.advance(4_001);
    expect(worker.reasons()).toEqual(["idle"]);
  });

  test("none: a connection may be silent for days, and has keepalive towards its task", () => {
    open();
    sockets.advance(3 * 86_400_000);
    expect(task.other!.options).toContain("keepalive");
    talk(1);
  });

  test("runs out beside a half-close", () => {
    open({ idleTimeoutMs: IDLE_MS });
    client.end();
    sockets.advance(IDLE_MS);
    expect(worker.reasons()).toEqual(["idle"]);
  });
});

describe("its task drains", () => {
  test("the connection goes on until its time is over, then it is reset", () => {
    open({ drainTimeoutMs: 5_000 });
    worker.apply({ tasks: [{ port: TASK, isDraining: true }], drainTimeoutMs: 5_000 });
    talk(4);
    for (const open of worker.clients.all()) open.cutIfOverdue(sockets.nowMs);
    expect(worker.reasons()).toEqual([]);
    sockets.advance(1_000);
    for (const open of worker.clients.all()) open.cutIfOverdue(sockets.nowMs);
    expect([client.state, task.state, worker.reasons()]).toEqual(["reset", "reset", ["drained"]]);
  });

  test("a connection that waits for its next turn is not touched again after the cut", () => {
    open();
    client.write("x".repeat(1_000_000));
    sockets.turn();
    worker.clients.all()[0]!.cut();
    sockets.run();
    expect(worker.reasons()).toEqual(["drained"]);
  });
});

describe("eviction", () => {
  test("takes a silent client before one that has spoken, and none that is in use", () => {
    open({}, { descriptors: 8 });
    const silent = worker.connect();
    sockets.advance(1_500);
    while (worker.clients.of(0).hasRoom) worker.connect((other) => other.write("x"));
    expect(worker.clients.of(0).makeRoom(sockets.nowMs)).toBe(true);
    expect([silent.state, client.state, worker.reasons()]).toEqual(["reset", "open", ["out-of-descriptors"]]);
  });

  test("waits for ten seconds of silence", () => {
    open({}, { descriptors: 4 });
    while (worker.clients.of(0).hasRoom) worker.connect((other) => other.write("x"));
    talk(8);
    expect(worker.clients.of(0).makeRoom(sockets.nowMs + 9_000)).toBe(false);
    expect(worker.clients.of(0).makeRoom(sockets.nowMs + 10_000)).toBe(true);
    expect(client.state).toBe("reset");
  });
});

test("a reset in the same batch as other events of the connection is handled once", () => {
  open();
  client.write("last words");
  client.reset();
  task.write("too late");
  task.end();
  sockets.run();
  expect(worker.reasons()).toEqual(["client-reset"]);
});

test("descriptors run out when a pipe is wanted: the bytes are copied", () => {
  open({}, { maxPipes: 4 });
  sockets.descriptorsLeft = 0;
  client.write("x".repeat(100_000));
  sockets.run();
  expect(task.read().length).toBe(100_000);
});

test("no event is asked for twice: an exchange costs no call to change what is watched", () => {
  open();
  const rewatch = sockets.rewatch.bind(sockets);
  let rewatches = 0;
  sockets.rewatch = (fd, events) => {
    rewatches++;
    rewatch(fd, events);
  };
  talk(3);
  expect(rewatches).toBe(0);
});
