/** What the record of a UDP session says about how it ended. */
import { beforeEach, expect, test } from "bun:test";
import type { UdpRules } from "../../../../src/model/index.ts";
import { ECONNREFUSED } from "../../../../src/sys/errno.ts";
import { IDLE_MS, MemoryListener } from "../../../support/proxy/memory-listener.ts";
import { MemoryUdp } from "../../../support/proxy/memory-udp.ts";
import type { TestTask } from "../../../support/proxy/routing-table.ts";

const ONE = { name: "one", address: "10.0.0.1" };
const TWO = { name: "two", address: "10.0.0.2" };
const FAR = { name: "far", node: "exit", distance: "far", address: "web.internal" } as const;

let udp: MemoryUdp;

beforeEach(() => {
  udp = new MemoryUdp();
});

function listen(tasks: readonly TestTask[], rules: Partial<UdpRules> = {}): MemoryListener {
  return new MemoryListener(udp, tasks, rules);
}

function ends(): (string | number)[][] {
  return udp.records().map(({ reason, task, errno }) => [reason, task!.name, errno]);
}

test("an idle session has ended in order, and its record has its client and its time", () => {
  const listener = listen([ONE]);
  listener.send(1001);
  udp.loop.advance(IDLE_MS);
  const [record, ...others] = udp.records();
  expect(others).toEqual([]);
  expect(record).toMatchObject({
    protocol: "udp",
    client: "203.0.113.9:1001",
    peer: "203.0.113.9:1001",
    listen: "127.0.0.1",
    reason: "done",
    durationMs: IDLE_MS,
    open: 1,
    serviceOpen: 1,
    taskOpen: 1,
    task: { name: "one", node: null, path: "local" },
  });
  expect(udp.counters.openOfWorker[0]).toBe(0);
});

test("a session whose task refused and was not heard of since has not", () => {
  const listener = listen([ONE]);
  listener.sessions.onFailed(listener.send(1001)!, ECONNREFUSED);
  udp.loop.advance(IDLE_MS);
  expect(ends()).toEqual([["unreachable", "one", ECONNREFUSED]]);
  const session = listener.send(1002)!;
  listener.sessions.onFailed(session, ECONNREFUSED);
  session.onAnswered();
  udp.loop.advance(IDLE_MS);
  expect(ends()).toEqual([["done", "one", 0]]);
});

test("a session that makes room, moves, or goes to another process says so", () => {
  const listener = listen([ONE], { maxSessions: 1 });
  listener.send(1001);
  listener.send(1002);
  expect(ends()).toEqual([["session-limit", "one", 0]]);
  listener.change([TWO], { maxSessions: 1 });
  expect(ends()).toEqual([["session-moved", "one", 0]]);
  listener.send(1003);
  listener.sessions.leaveAll();
  expect(ends()).toEqual([["handed-over", "two", 0]]);
});

test("a session with another node's task names the node and the path", () => {
  const listener = listen([FAR]);
  listener.send(1001);
  udp.loop.advance(IDLE_MS);
  expect(udp.records()[0]).toMatchObject({ task: { name: "far", node: "exit", path: "direct" } });
});
