/** What the record of a connection says about its attempts, its times and how it ended. */
import { afterEach, expect, test } from "bun:test";
import { terminationOf } from "../../../../src/node/connection-log/termination.ts";
import { MemoryWorker, type WorkerOptions } from "../../../support/proxy/memory-worker.ts";

const TASK = 80;
const OTHER = 81;

let worker: MemoryWorker;

function start(service: Partial<WorkerOptions["service"]> = {}): MemoryWorker {
  worker = new MemoryWorker({ service: { tasks: [TASK], ...service } });
  return worker;
}

afterEach(() => {
  for (const client of worker.clients.all()) client.cut();
  worker.sockets.run();
  expect(worker.counters.openOfWorker[0]).toBe(0);
});

/** The one record there is, with its two letters. */
function record() {
  const records = worker.records();
  expect(records).toHaveLength(1);
  return { ...records[0]!, state: terminationOf(records[0]!).state };
}

test("a client that leaves while its task is silent: CC, with the time it waited", () => {
  const { sockets } = start();
  sockets.port(TASK).mode = "silent";
  const client = worker.connect();
  sockets.advance(200);
  client.reset();
  sockets.run();
  expect(record()).toMatchObject({
    reason: "client-gone",
    state: "CC",
    waitMs: 0,
    connectMs: -1,
    durationMs: 200,
    attempts: 1,
    open: 1,
    serviceOpen: 1,
    taskOpen: 0,
  });
});

test("a task that never accepts: sC, with its name", () => {
  const { sockets } = start();
  sockets.port(TASK).mode = "silent";
  worker.connect();
  sockets.advance(120_000);
  const { task, ...rest } = record();
  expect(rest).toMatchObject({ reason: "no-task", state: "sC", attempts: 1, hedges: 0 });
  expect(task!.address).toEndWith(`:${TASK}`);
});

test("tasks that refuse are retries, one beside a slow one is a hedge", () => {
  const { sockets } = start({ tasks: [TASK, OTHER] });
  sockets.port(TASK).mode = sockets.port(OTHER).mode = "refuse";
  worker.connect();
  expect(record()).toMatchObject({ reason: "no-task", state: "SC", errno: 111, attempts: 2, hedges: 0 });

  start({ tasks: [TASK, OTHER] });
  const slow = worker.sockets;
  slow.port(TASK).mode = slow.port(OTHER).mode = "silent";
  const client = worker.connect();
  slow.advance(1_000);
  for (const port of [TASK, OTHER]) slow.port(port).acceptPending();
  slow.run();
  client.end();
  const served = [TASK, OTHER]
    .map((port) => slow.port(port).accepted[0])
    .find((each) => each?.state === "open");
  served?.end();
  slow.run();
  for (const each of worker.clients.all()) each.cut();
  expect(record()).toMatchObject({ attempts: 2, hedges: 1, connectMs: 1_000 });
});

test("a connection that waits for its PROXY header has the time of it before the connect", () => {
  const { sockets } = start({ acceptProxy: ["198.51.100.0/24"] });
  const client = worker.connect();
  sockets.advance(300);
  client.write("PROXY TCP4 203.0.113.5 203.0.113.9 4000 443\r\n");
  sockets.run();
  sockets.advance(500);
  sockets.port(TASK).last.reset();
  sockets.advance(1_000);
  expect(record()).toMatchObject({
    client: "203.0.113.5:4000",
    peer: "198.51.100.7:5555",
    waitMs: 300,
    connectMs: 0,
    reason: "task-reset",
    state: "SD",
  });
});

test("the task has finished and the client breaks off: CL", () => {
  const { sockets } = start();
  const client = worker.connect();
  sockets.port(TASK).last.write("bye");
  sockets.port(TASK).last.end();
  sockets.run();
  client.reset();
  sockets.advance(1_000);
  expect(record()).toMatchObject({ reason: "client-reset", state: "CL", bytesOut: 3 });
});
