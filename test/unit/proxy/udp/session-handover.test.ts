/** Sessions that go from one process to another: same task, same socket, same source port. */
import { beforeEach, expect, test } from "bun:test";
import { NO_CLIENT_LIMITS, type UdpRules } from "../../../../src/model/index.ts";
import { S_UDP_OPEN, S_UDP_SESSIONS } from "../../../../src/proxy/table/counters.ts";
import { readSessionRows, withDescriptors } from "../../../../src/proxy/table/session-rows.ts";
import { MemoryListener } from "../../../support/proxy/memory-listener.ts";
import { MemoryUdp } from "../../../support/proxy/memory-udp.ts";
import type { TestTask } from "../../../support/proxy/routing-table.ts";

const ONE = { name: "one", address: "10.0.0.1" };
const TWO = { name: "two", address: "10.0.0.2" };
const FAR = { name: "far", node: "exit", distance: "far", address: "web.internal" } as const;
const PORTS = { sourcePorts: [{ first: 40_000, last: 40_063 }] };

let before: MemoryUdp;
let after: MemoryUdp;

beforeEach(() => {
  before = new MemoryUdp(PORTS);
  after = new MemoryUdp(PORTS);
});

function listen(udp: MemoryUdp, tasks: readonly TestTask[], rules: Partial<UdpRules> = {}): MemoryListener {
  return new MemoryListener(udp, tasks, rules);
}

/** `to` has what `from` had: the sockets with their numbers, the blocks of ports, the sessions. */
function handOver(from: MemoryListener, to: MemoryListener): void {
  const sessions = from.sessions.pause();
  after.sockets.all.push(...before.sockets.all);
  after.context.takeOver(before.context.claims);
  to.sessions.continueAll(sessions);
}

function counted(udp: MemoryUdp, field: number): number {
  return udp.counters.services[0]![field]!;
}

test("a client keeps its task, its socket and its source port, and is counted once", () => {
  const from = listen(before, [ONE, TWO]);
  const old = [from.send(1001)!, from.send(1002)!, from.send(1003)!];
  const to = listen(after, [TWO, ONE]);
  handOver(from, to);
  const now = [to.send(1001)!, to.send(1002)!, to.send(1003)!];
  expect(now.map(({ target, fd }) => [target.taskName, fd])).toEqual(
    old.map(({ target, fd }) => [target.taskName, fd]),
  );
  expect([counted(after, S_UDP_OPEN), counted(after, S_UDP_SESSIONS)]).toEqual([3, 0]);
  expect(after.sockets.at(now[0]!.fd).handler).toBe(now[0]!);
});

test("its sessions count against the limits of the client there too", () => {
  const limits = { ...NO_CLIENT_LIMITS, maxSessions: 3 };
  const from = new MemoryListener(before, [ONE], {}, limits);
  for (const client of [1001, 1002, 1003]) expect(from.send(client)).not.toBeNull();
  const to = new MemoryListener(after, [ONE], {}, { ...limits, maxSessions: 4 });
  handOver(from, to);
  expect([to.send(1001), to.send(1004), to.send(1005)].map((session) => session !== null)).toEqual([
    true,
    true,
    false,
  ]);
  expect(to.sessions.refusal).toBe("client-limit");
  to.sessions.close(to.send(1002)!, null);
  expect(to.send(1005)).not.toBeNull();
});

test("a client's sessions in packet mode count each, and end with their task", () => {
  const listener = new MemoryListener(
    before,
    [ONE, TWO],
    { mode: "packet" },
    { ...NO_CLIENT_LIMITS, maxSessions: 2 },
  );
  for (let times = 0; times < 8; times++) expect(listener.send(1001)).not.toBeNull();
  expect([listener.send(1002), listener.sessions.refusal]).toEqual([null, "client-limit"]);
  listener.sessions.closeAll();
  expect(listener.send(1002)).not.toBeNull();
});

test("their ports are not given to new sessions with the same task", () => {
  const from = listen(before, [ONE]);
  for (let client = 0; client < 40; client++) from.send(1001 + client);
  const to = listen(after, [ONE]);
  handOver(from, to);
  for (let client = 40; client < 60; client++) to.send(1001 + client);
  const ports = after.sockets.connected.map(({ port }) => port);
  expect([ports.length, new Set(ports).size]).toEqual([60, 60]);
});

test("more sessions than the share of this worker has room for stay, and new ones make room", () => {
  const from = listen(before, [ONE]);
  for (let client = 0; client < 10; client++) from.send(1001 + client);
  const to = listen(after, [ONE]);
  after.context.worker.shares.divide(4, [{ slot: 0, ports: [{ protocol: "udp" }] }], false);
  handOver(from, to);
  expect(counted(after, S_UDP_OPEN)).toBe(10);
  after.loop.advance(2_000);
  to.send(2001);
  expect(counted(after, S_UDP_OPEN)).toBeLessThan(11);
});

test("a block of ports that others use too, or that there is no room for, stays claimed and gives no ports", () => {
  const block = 40_000;
  after.context.takeOver([{ block, fd: 77, users: 2 }]);
  expect(after.context.sourcePorts.blocks.ports).toEqual([]);
  expect(after.context.claims).toEqual([{ block, fd: 77, users: 2 }]);
  after.context.takeOver([{ block: 50_000, fd: 78, users: 1 }]); // of another range
  const unused = after.sockets.open();
  after.context.takeOver([{ block: 50_064, fd: unused, users: 0 }]);
  expect(after.sockets.at(unused).isClosed).toBe(true);
  expect(after.context.claims.map(({ fd }) => fd)).toEqual([77, 78]);
});

test("the one that has been idle for longest still makes room first", () => {
  const from = listen(before, [ONE], { maxSessions: 2 });
  const oldest = from.send(1001)!;
  before.loop.advance(5_000);
  from.send(1002);
  const to = listen(after, [ONE], { maxSessions: 2 });
  handOver(from, to);
  after.loop.advance(2_000);
  to.send(1003);
  expect(after.sockets.at(oldest.fd).isClosed).toBe(true);
  expect(after.sockets.connected.length).toBe(2);
});

test("in packet mode a client keeps its session with each task", () => {
  const from = listen(before, [ONE, TWO], { mode: "packet" });
  const old = [from.send(1001)!, from.send(1001)!].map(({ fd }) => fd);
  const to = listen(after, [TWO, ONE], { mode: "packet" });
  handOver(from, to);
  expect([to.send(1001)!.fd, to.send(1001)!.fd].toSorted()).toEqual(old.toSorted());
});

test("a session with a task of another node has a new relay to the same task", () => {
  const from = listen(before, [FAR]);
  from.send(1001);
  const to = listen(after, [FAR]);
  handOver(from, to);
  const session = to.send(1001)!;
  expect([session.target.taskName, session.fd, after.relays.sessions.length]).toEqual(["far", -1, 1]);
});

test("the socket of a session whose task is gone is closed", () => {
  const from = listen(before, [ONE]);
  const { fd } = from.send(1001)!;
  const to = listen(after, [TWO]);
  handOver(from, to);
  expect([after.sockets.at(fd).isClosed, counted(after, S_UDP_OPEN)]).toEqual([true, 0]);
  expect(to.send(1001)!.target.taskName).toBe("two");
});

test("nothing is received between pause and resume", () => {
  const from = listen(before, [ONE]);
  const session = from.send(1001)!;
  from.sessions.pause();
  expect(before.sockets.at(session.fd).handler).toBeNull();
  session.onContinue(); // was queued before
  from.sessions.resume();
  expect(before.sockets.at(session.fd).handler).toBe(session);
  expect(from.send(1001)).toBe(session);
});

test("rows that are cut off are refused", () => {
  const from = listen(before, [ONE]);
  from.send(1001);
  const { rows } = from.sessions.pause();
  expect([...readSessionRows(rows)].length).toBe(1);
  expect([...readSessionRows(withDescriptors(rows, (fd) => fd + 7))][0]!.fd).toBe(
    [...readSessionRows(rows)][0]!.fd + 7,
  );
  for (let words = 1; words < rows.length; words++)
    expect(() => [...readSessionRows(rows.slice(0, words))]).toThrow(RangeError);
});
