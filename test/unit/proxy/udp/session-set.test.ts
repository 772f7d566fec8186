/** The sessions of a listener, with sockets in memory: which task a datagram goes to, and for how long. */
import { beforeEach, describe, expect, test } from "bun:test";
import type { UdpRules } from "../../../../src/model/index.ts";
import {
  REFUSAL_INDEX,
  type RefusalReason,
  S_REFUSALS,
  S_UDP_OPEN,
} from "../../../../src/proxy/table/counters.ts";
import { targetsOf } from "../../../../src/proxy/table/route.ts";
import type { UdpSession } from "../../../../src/proxy/udp/session.ts";
import type { SessionSet } from "../../../../src/proxy/udp/session-set.ts";
import { ECONNREFUSED, EMFILE, ENETUNREACH } from "../../../../src/sys/errno.ts";
import { decodeRelaySession } from "../../../../src/wire/index.ts";
import { IDLE_MS, MemoryListener } from "../../../support/proxy/memory-listener.ts";
import { MemoryUdp } from "../../../support/proxy/memory-udp.ts";
import type { TestTask } from "../../../support/proxy/routing-table.ts";

const ONE = { name: "one", address: "10.0.0.1" };
const TWO = { name: "two", address: "10.0.0.2" };
const FAR = { name: "far", node: "exit", distance: "far", address: "web.internal" } as const;

let udp: MemoryUdp;
let listener: MemoryListener;
let sessions: SessionSet;

beforeEach(() => {
  udp = new MemoryUdp();
});

function listen(tasks: readonly TestTask[], rules: Partial<UdpRules> = {}): void {
  listener = new MemoryListener(udp, tasks, rules);
  sessions = listener.sessions;
}

function send(port: number): UdpSession | null {
  return listener.send(port);
}

function taskOf(session: UdpSession | null): string | undefined {
  return session?.target.taskName;
}

function refused(reason: RefusalReason): number {
  return udp.counters.services[0]![S_REFUSALS + REFUSAL_INDEX[reason]]!;
}

function open(): number {
  return udp.counters.services[0]![S_UDP_OPEN]!;
}

describe("a client", () => {
  test("stays with its task; others go round", () => {
    listen([ONE, TWO]);
    const first = send(1001);
    const second = send(1002);
    expect(new Set([taskOf(first), taskOf(second)])).toEqual(new Set(["one", "two"]));
    expect([send(1001), send(1002), send(1001)]).toEqual([first, second, first]);
    expect([open(), udp.sockets.connected.length]).toEqual([2, 2]);
  });

  test("that has sent nothing for the idle time gets a new session", () => {
    listen([ONE]);
    const first = send(1001)!;
    udp.loop.advance(IDLE_MS - 1);
    sessions.touch(first);
    udp.loop.advance(IDLE_MS - 1);
    expect(send(1001)).toBe(first);
    udp.loop.advance(1);
    expect([first.isClosed, open(), udp.sockets.connected.length]).toEqual([true, 0, 0]);
    expect(send(1001)).not.toBe(first);
  });

  test("in packet mode has a session with every task", () => {
    listen([ONE, TWO], { mode: "packet" });
    const picked = [send(1001), send(1001), send(1001), send(1001)];
    expect(picked.slice(2)).toEqual(picked.slice(0, 2));
    expect([new Set(picked.map(taskOf)), open()]).toEqual([new Set(["one", "two"]), 2]);
  });

  test("whose address and port is a published one is refused", () => {
    listen([ONE]);
    udp.context.setListeners([{ addresses: ["203.0.113.9"], ports: [1001] }]);
    expect([send(1001), sessions.refusal]).toEqual([null, "published-source"]);
    expect(send(1002)).not.toBeNull();
  });

  test("loses its session once its port is published", () => {
    listen([ONE]);
    const session = send(1001)!;
    udp.context.setListeners([{ addresses: ["203.0.113.9"], ports: [1001] }]);
    sessions.onTargetsChanged(udp.loop.nowMs);
    expect([session.isClosed, refused("published-source")]).toEqual([true, 1]);
  });
});

describe("a session moves", () => {
  test("when its task has left the table", () => {
    listen([ONE]);
    const session = send(1001)!;
    listener.change([TWO]);
    expect([session.isClosed, refused("session-moved")]).toEqual([true, 1]);
    expect(taskOf(send(1001))).toBe("two");
  });

  test("at the end of the drain time, not before", () => {
    listen([ONE, TWO]);
    const clients = [send(1001)!, send(1002)!];
    const drained = clients.findIndex((session) => taskOf(session) === "one");
    listener.change([{ ...ONE, isDraining: true }, TWO]);
    expect(send(1001 + drained)).toBe(clients[drained]!);
    expect(taskOf(send(1003))).toBe("two");
    udp.loop.advance(1_000);
    expect(taskOf(send(1001 + drained))).toBe("two");
    expect(clients.map(({ isClosed }) => isClosed)).toEqual(clients.map((_, index) => index === drained));
  });

  test("from a task that fails to one that works, and stays where it is when there is none", () => {
    listen([ONE, TWO]);
    const session = send(1001)!;
    sessions.onFailed(session, ECONNREFUSED);
    const moved = send(1001)!;
    expect([session.isClosed, moved.target === session.target]).toEqual([true, false]);
    sessions.onFailed(moved, ECONNREFUSED);
    expect(send(1001)).toBe(moved);
    expect(sessions.move(moved, [moved.target, session.target])).toBeNull();
    expect([sessions.refusal, moved.isClosed]).toEqual(["no-task", false]);
  });

  test("to a task that can be reached at once, and fails when there is none", () => {
    udp.sockets.unreachable.set("10.0.0.1 5353", ENETUNREACH);
    listen([ONE, TWO]);
    expect([taskOf(send(1001)), taskOf(send(1002))]).toEqual(["two", "two"]);
    expect(targetsOf(listener.table).map(({ failingUntilMs }) => failingUntilMs > udp.loop.nowMs)).toEqual([
      true,
      false,
    ]);
    udp.sockets.unreachable.set("10.0.0.2 5353", ENETUNREACH);
    expect([send(1003), sessions.refusal]).toEqual([null, "no-task"]);
    expect(udp.sockets.connected.length).toBe(2);
  });
});

describe("a new session at the limit", () => {
  test("of the service takes the place of the one unused for longest", () => {
    listen([ONE], { maxSessions: 2 });
    const all = [send(1001)!, send(1002)!];
    udp.loop.advance(2_000);
    sessions.touch(all[0]!);
    expect(send(1003)).not.toBeNull();
    expect(all.map(({ isClosed }) => isClosed)).toEqual([false, true]);
    expect([open(), refused("session-limit")]).toEqual([2, 1]);
  });

  test("of source ports takes that of another, and never that of another program", () => {
    udp = new MemoryUdp({ sourcePorts: [{ first: 40_000, last: 40_003 }] });
    udp.sockets.taken.add(40_001);
    listen([ONE]);
    for (let port = 1001; port <= 1008; port++) expect(send(port)).not.toBeNull();
    const ports = udp.sockets.connected.map(({ port }) => port);
    expect(ports.toSorted()).toEqual([40_000, 40_002, 40_003]);
    expect([open(), refused("out-of-ports")]).toEqual([3, 5]);
  });

  test("of descriptors is refused when no session has one to give", () => {
    listen([ONE]);
    udp.sockets.exhaustion = EMFILE;
    expect([send(1001), sessions.refusal, open()]).toEqual([null, "out-of-descriptors", 0]);
    udp.sockets.exhaustion = 0;
    const session = send(1001)!;
    expect([session.isClosed, udp.counters.exhausted[0]]).toEqual([false, 1]);
  });
});

describe("a task of another node", () => {
  test("is reached by its relay, which gets the client and the task", () => {
    listen([FAR]);
    const session = send(1001)!;
    const { peer, header } = udp.relays.sessions[0]!;
    const told = decodeRelaySession(header, 0, header.length)!;
    expect([peer, told.task, told.service, told.targetPort]).toEqual(["exit", "far", "test", 5353]);
    expect([told.source.port, told.destination.port, udp.sockets.all.length]).toEqual([1001, 53, 0]);
    expect([session.fd, send(1001)]).toEqual([-1, session]);
    sessions.closeAll();
    expect([udp.relays.sessions[0]!.isEnded, open()]).toEqual([true, 0]);
  });
});

test("a session whose node sends from another address now gets another socket", () => {
  listen([ONE]);
  const session = send(1001)!;
  const before = session.fd;
  expect([sessions.reopen(session), session.fd]).toEqual([false, before]);
  udp.sockets.source = "192.0.2.2";
  expect([sessions.reopen(session), session.fd === before]).toEqual([true, false]);
  expect(udp.sockets.connected.map(({ source }) => source)).toEqual(["192.0.2.2"]);
});

test("the end of a listener ends all sessions, and closes every socket once", () => {
  listen([ONE, TWO]);
  for (let port = 1001; port <= 1100; port++) send(port);
  expect(open()).toBe(100);
  sessions.closeAll();
  expect([
    open(),
    udp.sockets.connected.length,
    targetsOf(listener.table).map((target) => target.open),
  ]).toEqual([0, 0, [0, 0]]);
});
