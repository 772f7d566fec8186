/**
 * A client's connection until a task accepts it:
 *
 *   (awaiting a PROXY header) ──▶ dialing ──▶ Splicing
 *              │                     │
 *              └──────▶ closed ◀─────┘
 */
import { afterEach, describe, expect, test } from "bun:test";
import { MemoryWorker, NOTHING_IN_USE, type WorkerOptions } from "../../../support/proxy/memory-worker.ts";

const TASK = 80;
const HEADER = "PROXY TCP4 203.0.113.5 203.0.113.9 4000 443\r\n";

let worker: MemoryWorker;

function start(
  service: Partial<WorkerOptions["service"]> = {},
  options: Partial<WorkerOptions> = {},
): MemoryWorker {
  worker = new MemoryWorker({ service: { tasks: [TASK], ...service }, ...options });
  return worker;
}

function task() {
  return worker.sockets.port(TASK);
}

afterEach(() => {
  for (const client of worker.clients.all()) client.cut();
  worker.sockets.run();
  expect(worker.inUse).toEqual(NOTHING_IN_USE);
});

test("a task that accepts at once has the request before the loop turns", () => {
  start();
  worker.connect((client) => client.write("GET"));
  expect(task().last.read()).toBe("GET");
});

test("the task's socket keeps urgent bytes in line from the start", () => {
  start();
  task().mode = "silent";
  worker.connect();
  expect(task().pending[0]!.options).toEqual(["oobinline"]);
});

describe("while its task is dialed", () => {
  test("a client is not read, and served once the task accepts", () => {
    const { sockets } = start();
    task().mode = "silent";
    const client = worker.connect((client) => client.write("early"));
    client.write(" and late");
    sockets.run();
    expect(client.other!.incoming.toString()).toBe("early and late");
    task().acceptPending();
    sockets.run();
    expect(task().last.read()).toBe("early and late");
  });

  test("a client's FIN does not stop the dialing", () => {
    const { sockets } = start();
    task().mode = "silent";
    const client = worker.connect((client) => client.write("all"));
    client.end();
    sockets.run();
    task().acceptPending();
    sockets.run();
    expect([task().last.read(), task().last.state]).toEqual(["all", "ended"]);
    task().last.write("answer");
    task().last.end();
    sockets.run();
    expect([client.read(), client.state, worker.reasons()]).toEqual(["answer", "ended", ["done"]]);
  });

  test("a client's reset stops it and closes the attempt", () => {
    const { sockets } = start();
    task().mode = "silent";
    const client = worker.connect();
    const [attempt] = task().pending;
    client.reset();
    sockets.run();
    expect([worker.reasons(), attempt!.isClosed]).toEqual([["client-gone"], true]);
    expect(worker.inUse).toEqual(NOTHING_IN_USE);
  });

  test("a client's reset in the same turn as the task's acceptance: the task gets an empty connection", () => {
    const { sockets } = start();
    task().mode = "silent";
    const client = worker.connect();
    client.reset();
    task().acceptPending();
    sockets.run();
    expect([worker.reasons(), task().last.state]).toEqual([["client-gone"], "ended"]);
  });

  test("a connection makes room for another client", () => {
    start();
    task().mode = "silent";
    const client = worker.connect();
    worker.clients.all()[0]!.evict();
    expect([client.state, worker.reasons()]).toEqual(["reset", ["out-of-descriptors"]]);
  });

  test("a client goes by the table in force: the next task is one that came meanwhile", () => {
    const { sockets } = start();
    task().mode = "silent";
    worker.connect((client) => client.write("x"));
    worker.apply({ tasks: [TASK, 81] });
    sockets.advance(1_000);
    expect(sockets.port(81).last.read()).toBe("x");
    task().acceptPending(); // it was only slow
    sockets.run();
  });

  test("a port that closes ends the wait", () => {
    start();
    task().mode = "silent";
    worker.connect();
    worker.apply({
      tasks: [TASK],
      ports: [{ protocol: "tcp", published: 8080, target: 8080, mode: "ingress", isClosed: true }],
    });
    expect(worker.reasons()).toEqual(["no-task"]);
  });

  test("a drain cut that comes before the task's acceptance leaves the client to other tasks", () => {
    const { sockets } = start({ tasks: [TASK, 81], drainTimeoutMs: 0 });
    task().mode = sockets.port(81).mode = "silent";
    worker.connect((client) => client.write("x"));
    const dialed = [TASK, 81].find((port) => sockets.port(port).pending.length > 0)!;
    const other = dialed === TASK ? 81 : TASK;
    worker.apply({ tasks: [{ port: dialed, isDraining: true }, other], drainTimeoutMs: 0 });
    sockets.port(other).acceptPending();
    sockets.run();
    expect(sockets.port(other).last.read()).toBe("x");
  });
});

test("a client that may not connect is reset, and no task is dialed", () => {
  start({ deny: ["198.51.100.0/24"] });
  const client = worker.connect();
  expect([client.state, worker.reasons(), task().accepted.length]).toEqual(["reset", ["denied"], 0]);
});

test("where no task accepts the client is reset", () => {
  start();
  task().mode = "refuse";
  const client = worker.connect();
  expect([client.state, worker.reasons()]).toEqual(["reset", ["no-task"]]);
});

test("where its socket cannot be watched the client is reset, and the task with it", () => {
  const { sockets } = start();
  sockets.watchesLeft = 1; // the task's
  const client = worker.connect();
  expect([client.state, task().last.state, worker.reasons()]).toEqual([
    "reset",
    "reset",
    ["out-of-descriptors"],
  ]);
});

describe("a PROXY header", () => {
  const trusted = { acceptProxy: ["198.51.100.0/24"], sendProxy: "v1" } as const;

  test("is taken before the first byte, and its addresses are the client's from then on", () => {
    start(trusted);
    worker.connect((client) => client.write(`${HEADER}GET`));
    expect(task().last.read()).toBe(`${HEADER}GET`); // written anew for the task
    for (const client of worker.clients.all()) client.cut();
    expect(worker.records()[0]!.client).toBe("203.0.113.5:4000");
  });

  test("may arrive byte by byte", () => {
    const { sockets } = start(trusted);
    const client = worker.connect();
    for (const byte of `${HEADER}GET`) {
      client.write(byte);
      sockets.run();
    }
    expect(task().last.read()).toBe(`${HEADER}GET`);
  });

  test("is not expected of others", () => {
    start({ acceptProxy: ["192.0.2.0/24"] });
    worker.connect((client) => client.write(HEADER));
    expect(task().last.read()).toBe(HEADER);
  });

  test("decides whether the client may connect", () => {
    start({ ...trusted, deny: ["203.0.113.0/24"] });
    worker.connect((client) => client.write(HEADER));
    expect(worker.reasons()).toEqual(["denied"]);
  });

  test.each([
    ["malformed", "GET / HTTP/1.1\r\n", "bad-proxy-header"],
    ["missing, and FIN instead", "", "client-gone"],
  ])("that is %s ends the connection", (_how, text, reason) => {
    const { sockets } = start(trusted);
    const client = worker.connect();
    client.write(text);
    if (text === "") client.end();
    sockets.run();
    expect([client.state, worker.reasons(), task().accepted.length]).toEqual(["reset", [reason], 0]);
  });

  test("that is not complete in time ends the connection, however often a byte arrives", () => {
    const { sockets } = start(trusted);
    const client = worker.connect();
    for (let i = 0; i < 8 && client.state === "open"; i++) {
      client.write(HEADER[i]!);
      sockets.advance(400);
    }
    expect([client.state, worker.reasons()]).toEqual(["reset", ["bad-proxy-header"]]);
  });

  test("that is awaited does not keep the client from being evicted, reset or cut", () => {
    const { sockets } = start(trusted);
    worker.connect();
    worker.clients.all()[0]!.evict();
    worker.connect().reset();
    sockets.run();
    worker.connect();
    worker.clients.all()[0]!.cut();
    expect(worker.reasons()).toEqual(["out-of-descriptors", "client-gone", "drained"]);
  });

  test("and a reset in the same moment: the client is gone, whatever its task does", () => {
    const { sockets } = start(trusted);
    task().mode = "silent";
    const client = worker.connect();
    client.write(HEADER);
    client.reset();
    sockets.run();
    expect(worker.reasons()).toEqual(["client-gone"]);
  });

  test("and a task that is slow to accept: nothing is lost in between", () => {
    const { sockets } = start(trusted);
    task().mode = "silent";
    const client = worker.connect((client) => client.write(HEADER));
    client.write("GET");
    sockets.run();
    sockets.advance(3_000); // longer than a header may take
    expect(worker.reasons()).toEqual([]);
    task().acceptPending();
    sockets.run();
    expect(task().last.read()).toBe(`${HEADER}GET`);
  });
});
