/** Which task a client gets, what happens while none has accepted, and what is learnt from those that were not taken. */
import { afterEach, describe, expect, test } from "bun:test";
import type { RefusalReason } from "../../../../src/proxy/table/counters.ts";
import type { Route } from "../../../../src/proxy/table/route.ts";
import type { Target } from "../../../../src/proxy/table/target.ts";
import { Dialer, type DialerOwner } from "../../../../src/proxy/tcp/dialer.ts";
import { EADDRNOTAVAIL, ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT } from "../../../../src/sys/errno.ts";
import { READ_EVENTS } from "../../../../src/sys/tcp-sockets.ts";
import type { MemoryPort, MemorySockets } from "../../../support/proxy/memory-sockets.ts";
import { MemoryWorker, type WorkerOptions } from "../../../support/proxy/memory-worker.ts";

const A = 80;
const B = 81;
const C = 82;
const CLIENT = { family: 4, bytes: Uint8Array.of(198, 51, 100, 7), offset: 0, port: 5555 } as const;
const PUBLISHED = { family: 4, bytes: Uint8Array.of(203, 0, 113, 1), offset: 0, port: 443 } as const;

/** A client: how its dialing has ended. */
class Owner implements DialerOwner {
  readonly published = PUBLISHED;
  served: { target: Target; fd: number; isWatched: boolean } | null = null;
  failure: [RefusalReason, number] | null = null;

  refreshRoute(): Route {
    return worker.route;
  }

  onDialed(target: Target, fd: number, isWatched: boolean): void {
    this.served = { target, fd, isWatched };
  }

  onDialFailed(reason: RefusalReason, errnoValue: number): void {
    this.failure = [reason, errnoValue];
  }

  get port(): number | undefined {
    return this.served?.target.port;
  }
}

let worker: MemoryWorker;
let sockets: MemorySockets;
let owner: Owner;
let dialer: Dialer;

function start(
  tasks: WorkerOptions["service"]["tasks"] = [A, B],
  service: Partial<WorkerOptions["service"]> = {},
): void {
  worker = new MemoryWorker({ service: { tasks, ...service } });
  ({ sockets } = worker);
}

function port(number: number): MemoryPort {
  return sockets.port(number);
}

function dial(): void {
  owner = new Owner();
  dialer = new Dialer(worker.context, worker.clients.relayPools, CLIENT, worker.shares.tcp(0), owner);
  dialer.tryNext();
}

afterEach(() => {
  dialer.abandon();
  for (const number of [A, B, C]) port(number).refusePending(); // overtaken attempts end
  sockets.advance(60_000);
  expect(worker.shares.tcp(0).used).toBe(0);
});

test("a task that accepts at once is taken, and its socket is left to the client", () => {
  start();
  dial();
  expect([owner.port, owner.served!.isWatched]).toEqual([A, false]);
});

test("clients are spread over the tasks", () => {
  start([A, B, C]);
  const ports = Array.from({ length: 6 }, () => {
    dial();
    return owner.port;
  });
  expect(ports).toEqual([A, B, C, A, B, C]);
});

describe("a task that fails at once", () => {
  test("is replaced by the next, and passed over for a while", () => {
    start();
    port(A).mode = "refuse";
    for (let i = 0; i < 3; i++) {
      dial();
      expect(owner.port).toBe(B);
    }
    port(A).mode = "accept";
    sockets.advance(1_001);
    const ports = [0, 1].map(() => {
      dial();
      return owner.port;
    });
    expect(ports.sort()).toEqual([A, B]);
  });

  test("with all others: the client fails with the last error", () => {
    start();
    port(A).mode = port(B).mode = "refuse";
    port(B).connectError = EHOSTUNREACH;
    dial();
    expect(owner.failure).toEqual(["no-task", EHOSTUNREACH]);
  });

  test("for lack of a local port is not to blame", () => {
    start();
    port(A).mode = port(B).mode = "refuse";
    port(A).connectError = port(B).connectError = EADDRNOTAVAIL;
    dial();
    expect([owner.failure![0], worker.targets.map(({ failingUntilMs }) => failingUntilMs)]).toEqual([
      "out-of-ports",
      [0, 0],
    ]);
  });
});

test("without tasks the client fails", () => {
  start([]);
  dial();
  expect(owner.failure).toEqual(["no-task", 0]);
});

describe("a task that is slow to accept", () => {
  test("gets a rival after its accept timeout; the first of them to accept is taken", () => {
    start();
    port(A).mode = "silent";
    dial();
    sockets.advance(499);
    expect(owner.served).toBe(null);
    sockets.advance(1);
    expect(owner.port).toBe(B);
  });

  test("may still be the first: the rival is closed and not held to have failed", () => {
    start();
    port(A).mode = port(B).mode = "silent";
    dial();
    sockets.advance(500);
    const [rival] = port(B).pending;
    port(A).acceptPending();
    sockets.run();
    expect([owner.port, owner.served!.isWatched, rival!.isClosed]).toEqual([A, true, true]);
    expect(worker.targets[1]!.failingUntilMs).toBe(0);
  });

  test("is watched on without its client: once it accepts, it is slow and not dead", () => {
    start();
    port(A).mode = "silent";
    dial();
    sockets.advance(500);
    const [slow] = port(A).pending;
    expect([owner.port, slow!.isClosed, worker.shares.tcp(0).used]).toEqual([B, false, 1]);
    sockets.advance(300);
    port(A).acceptPending();
    sockets.run();
    const [target] = worker.targets;
    expect([slow!.isClosed, target!.failingUntilMs <= sockets.nowMs, worker.shares.tcp(0).used]).toEqual([
      true,
      true,
      0,
    ]);
    expect(target!.acceptTimeoutMs).toBeGreaterThan(800); // the next client waits for it
  });

  test("and refuses in the end: it has failed", () => {
    start();
    port(A).mode = "silent";
    dial();
    sockets.advance(500);
    port(A).refusePending();
    sockets.run();
    expect(worker.targets[0]!.failingUntilMs).toBeGreaterThan(sockets.nowMs);
  });

  test("like all others: all are given their time, then the client fails", () => {
    start();
    port(A).mode = port(B).mode = "silent";
    dial();
    sockets.advance(4_000);
    expect(owner.failure).toBe(null);
    sockets.advance(60_000);
    expect(owner.failure).toEqual(["no-task", ETIMEDOUT]);
  });

  test("then refuses while its rival waits: the rival is taken when it accepts", () => {
    start();
    port(A).mode = port(B).mode = "silent";
    dial();
    sockets.advance(500);
    port(A).refusePending();
    sockets.run();
    port(B).acceptPending();
    sockets.run();
    expect([owner.port, owner.failure]).toEqual([B, null]);
  });

  test("counts with a descriptor of the service for each rival beyond the first", () => {
    start([A, B, C]);
    for (const number of [A, B, C]) port(number).mode = "silent";
    dial();
    expect(worker.shares.tcp(0).used).toBe(0); // the client has brought the first
    sockets.advance(500);
    expect(worker.shares.tcp(0).used).toBe(1);
    dialer.abandon();
    expect([worker.shares.tcp(0).used, port(A).pending[0]!.isClosed, port(B).pending[0]!.isClosed]).toEqual([
      0,
      true,
      true,
    ]);
  });

  test("and is drained meanwhile: its attempt is dropped", () => {
    start([A, B], { drainTimeoutMs: 0 });
    port(A).mode = "silent";
    dial();
    const [attempt] = port(A).pending;
    worker.apply({ tasks: [{ port: A, isDraining: true }, B], drainTimeoutMs: 0 });
    dialer.onTargetsChanged();
    expect([owner.port, attempt!.isClosed]).toEqual([B, true]);
  });

  test("and accepts when it has been drained: the client gets another", () => {
    start([A, B], { drainTimeoutMs: 0 });
    port(A).mode = "silent";
    dial();
    worker.apply({ tasks: [{ port: A, isDraining: true }, B], drainTimeoutMs: 0 });
    port(A).acceptPending();
    sockets.run();
    expect(owner.port).toBe(B);
  });
});

test("a task that joins is tried by a client that waits for the last one", () => {
  start([A]);
  port(A).mode = "silent";
  dial();
  sockets.advance(600); // no other is left
  worker.apply({ tasks: [A, B] });
  dialer.onTargetsChanged();
  expect(owner.port).toBe(B);
});

describe("without descriptors", () => {
  test("a client waits for one", () => {
    start();
    sockets.descriptorsLeft = 0;
    dial();
    expect([owner.served, owner.failure, worker.gate.isWaitedFor]).toEqual([null, null, true]);
    sockets.descriptorsLeft = 1;
    worker.gate.release();
    expect(owner.served).not.toBe(null);
  });

  test("for long, it fails, and its tasks are not to blame", () => {
    start();
    sockets.descriptorsLeft = 0;
    dial();
    sockets.advance(5_000);
    expect([owner.failure![0], worker.targets.map(({ failingUntilMs }) => failingUntilMs)]).toEqual([
      "out-of-descriptors",
      [0, 0],
    ]);
    worker.gate.release();
  });

  test("a client that has gone does not take the one that is released", () => {
    start();
    sockets.descriptorsLeft = 0;
    dial();
    dialer.abandon();
    sockets.descriptorsLeft = 1;
    worker.gate.release();
    expect([owner.served, sockets.descriptorsLeft]).toEqual([null, 1]);
  });

  test("for a rival: the task that is under way may still accept", () => {
    start();
    port(A).mode = "silent";
    dial();
    sockets.descriptorsLeft = 0;
    sockets.advance(500);
    port(A).acceptPending();
    sockets.run();
    expect(owner.port).toBe(A);
    worker.gate.release();
  });
});

describe("send_proxy", () => {
  test.each(["v1", "v2"] as const)("%s: the header names the client, before anything else", (sendProxy) => {
    start([A], { sendProxy });
    dial();
    const header = port(A).last.read();
    if (sendProxy === "v1") expect(header).toBe("PROXY TCP4 198.51.100.7 203.0.113.1 5555 443\r\n");
    else expect(header).toStartWith("\r\n\r\n\0\r\nQUIT\n\x21\x11");
    expect(sockets.isOpen(owner.served!.fd)).toBe(true);
  });

  test("a task that resets before it has the header is replaced", () => {
    start([A, B], { sendProxy: "v1" });
    port(A).onAccept = (socket) => socket.reset();
    dial();
    expect([owner.port, worker.targets[0]!.failingUntilMs > sockets.nowMs]).toEqual([B, true]);
  });
});

test("a task whose socket cannot be watched is closed, and the client fails", () => {
  start();
  port(A).mode = "silent";
  sockets.watchesLeft = 0;
  dial();
  expect([owner.failure, port(A).pending[0]!.isClosed]).toEqual([["no-task", 0], true]);
});

test("a finished attempt has no deadline left", () => {
  start();
  port(A).mode = "silent";
  dial();
  port(A).acceptPending();
  sockets.run();
  const { fd } = owner.served!;
  sockets.handOver(fd, { onEvents: () => {} });
  sockets.rewatch(fd, READ_EVENTS);
  sockets.advance(60_000);
  expect([owner.port, owner.failure]).toEqual([A, null]);
});

test("a refused connect after a SYN that got no answer counts once", () => {
  start([A]);
  port(A).mode = "silent";
  dial();
  port(A).refusePending();
  sockets.run();
  expect(owner.failure).toEqual(["no-task", ECONNREFUSED]);
});
