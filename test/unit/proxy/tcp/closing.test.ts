/**
 * A client's connection after one peer has reset it:
 *
 *   Splicing ──▶ delivering ──all handed to the kernel──▶ lingering ──all left the kernel──▶ closed
 *                    │                                        │
 *                    └─peer broken too, or reads nothing──────┴─────────────────────────────▶ closed
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { MemorySocket, MemorySockets } from "../../../support/proxy/memory-sockets.ts";
import { MemoryWorker, NOTHING_IN_USE } from "../../../support/proxy/memory-worker.ts";

const TASK = 80;

let worker: MemoryWorker;
let sockets: MemorySockets;
/** The far ends. */
let client: MemorySocket;
let task: MemorySocket;

function open(maxPipes = 0): void {
  worker = new MemoryWorker({ service: { tasks: [TASK] }, maxPipes });
  ({ sockets } = worker);
  client = worker.connect((client) => client.write("hello"));
  task = sockets.port(TASK).last;
  sockets.run();
  task.read();
}

afterEach(() => {
  for (const client of worker.clients.all()) client.cut();
  sockets.run();
  expect(worker.inUse).toEqual(NOTHING_IN_USE);
});

/** Each case with the broken peer, the living one, and how the end is recorded. */
const SIDES = [
  ["task", "task-reset"],
  ["client", "client-reset"],
] as const;

function sides(broken: "client" | "task"): { broken: MemorySocket; living: MemorySocket } {
  return broken === "client" ? { broken: client, living: task } : { broken: task, living: client };
}

describe.each(SIDES)("the %s resets", (side, reason) => {
  test("an idle connection: the other gets the reset", () => {
    open();
    const { broken, living } = sides(side);
    broken.reset();
    sockets.run();
    expect([living.state, worker.reasons()]).toEqual(["reset", [reason]]);
  });

  test("behind its last bytes: they arrive first", () => {
    open();
    const { broken, living } = sides(side);
    broken.write("last words");
    broken.reset();
    sockets.run();
    expect([living.read(), living.state, worker.reasons()]).toEqual(["last words", "reset", [reason]]);
  });

  test("behind its FIN: the other gets FIN and reset", () => {
    open();
    const { broken, living } = sides(side);
    broken.write("all of it");
    broken.end();
    sockets.run();
    expect(living.state).toBe("ended");
    broken.reset();
    sockets.run();
    expect([living.read(), living.hasEnded, living.isReset]).toEqual(["all of it", true, true]);
    expect(worker.reasons()).toEqual([reason]);
  });

  test("behind the other's FIN, with an answer on the way", () => {
    open();
    const { broken, living } = sides(side);
    living.end();
    sockets.run();
    broken.write("answer");
    broken.reset();
    sockets.run();
    expect([living.read(), living.state, living.hasEnded]).toEqual(["answer", "reset", false]);
  });

  test.each([0, 4])(
    "while the other is slow: it gets everything at its own pace, then the reset (%d pipes)",
    (pipes) => {
      open(pipes);
      const { broken, living } = sides(side);
      living.windowBytes = living.other!.sendBytes = 500;
      const text = "x".repeat(50_000);
      broken.write(text);
      sockets.run();
      broken.reset();
      let received = "";
      for (let reads = 0; received.length < text.length && reads < 1_000; reads++) {
        received += living.read(100);
        sockets.advance(200);
      }
      expect(received === text).toBe(true);
      expect([living.state, worker.reasons()]).toEqual(["reset", [reason]]);
    },
  );

  test("while the other reads nothing: it is given up after a while", () => {
    open();
    const { broken, living } = sides(side);
    living.windowBytes = living.other!.sendBytes = 500;
    broken.write("x".repeat(50_000));
    sockets.run();
    broken.reset();
    sockets.advance(4_900);
    expect(worker.reasons()).toEqual([]);
    sockets.advance(5_200);
    expect([living.state, worker.reasons()]).toEqual(["reset", [reason]]);
  });

  test("and the other too, before it has everything", () => {
    open();
    const { broken, living } = sides(side);
    living.windowBytes = living.other!.sendBytes = 500;
    broken.write("x".repeat(50_000));
    sockets.run();
    broken.reset();
    sockets.run();
    living.reset();
    sockets.run();
    expect(worker.reasons()).toEqual([reason]);
  });

  test("and the other ends while the last bytes leave: nothing is added or lost", () => {
    open();
    const { broken, living } = sides(side);
    living.windowBytes = 5;
    broken.write("last words");
    broken.reset();
    sockets.run();
    living.end();
    sockets.run();
    expect([living.read(), worker.reasons()]).toEqual(["last ", []]);
    expect(living.read()).toBe("words");
    sockets.advance(100);
    expect([living.state, worker.reasons()]).toEqual(["reset", [reason]]);
  });

  test("and a write to it notices that first: the other gets no FIN with the last bytes", () => {
    open();
    const { broken, living } = sides(side);
    living.write("x");
    broken.write("last words");
    broken.reset();
    sockets.run();
    expect([living.read(), living.state, living.hasEnded]).toEqual(["last words", "reset", false]);
    expect(worker.reasons()).toEqual([reason]);
  });

  test("behind its FIN, and a write to it notices that first: the other gets FIN and reset", () => {
    open();
    const { broken, living } = sides(side);
    living.write("x");
    broken.write("all of it");
    broken.end();
    broken.reset();
    sockets.run();
    expect([living.read(), living.hasEnded, living.isReset]).toEqual(["all of it", true, true]);
  });

  test("while the other reads a few bytes now and then: it is not given up", () => {
    open();
    const { broken, living } = sides(side);
    living.windowBytes = 500;
    living.other!.sendBytes = 6_000;
    broken.write("x".repeat(20_000));
    sockets.run();
    broken.reset();
    let received = 0;
    for (let reads = 0; received < 20_000 && reads < 500; reads++) {
      received += living.read(50).length;
      sockets.advance(2_000);
    }
    expect([received, worker.reasons()]).toEqual([20_000, [reason]]);
  });

  test("then its task is cut, or the connection evicted, while the other is slow", () => {
    for (const how of ["cut", "evict"] as const) {
      open();
      const { broken, living } = sides(side);
      living.windowBytes = living.other!.sendBytes = 500;
      broken.write("x".repeat(50_000));
      sockets.run();
      broken.reset();
      sockets.run();
      worker.clients.all()[0]![how]();
      sockets.advance(60_000);
      expect(worker.reasons()).toEqual([how === "cut" ? "drained" : "out-of-descriptors"]);
    }
  });

  test("a long stream under way: all of it arrives, over many turns", () => {
    open(4);
    const { broken, living } = sides(side);
    broken.write("x".repeat(1_000_000));
    broken.reset();
    sockets.advance(1_000);
    expect([living.read().length, living.state, worker.reasons()]).toEqual([1_000_000, "reset", [reason]]);
  });
});

test("a task that resets as soon as it has accepted: its words reach the client", () => {
  worker = new MemoryWorker({ service: { tasks: [TASK] } });
  ({ sockets } = worker);
  sockets.port(TASK).onAccept = (accepted) => {
    accepted.write("go away");
    accepted.reset();
  };
  client = worker.connect((client) => client.write("GET"));
  sockets.run();
  expect([client.read(), client.state, worker.reasons()]).toEqual(["go away", "reset", ["task-reset"]]);
});

test("a client that is gone when its task accepts: the task is reset", () => {
  worker = new MemoryWorker({ service: { tasks: [TASK] } });
  ({ sockets } = worker);
  worker.connect((client) => {
    client.write("GET");
    client.reset();
  });
  sockets.run();
  task = sockets.port(TASK).last;
  expect([task.read(), task.state, worker.reasons()]).toEqual(["GET", "reset", ["client-reset"]]);
});
