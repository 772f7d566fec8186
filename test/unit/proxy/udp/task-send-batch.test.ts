/** Datagrams on their way to tasks of other nodes: their order, and where they go when a node cannot be reached. */
import { beforeEach, expect, test } from "bun:test";
import { REFUSAL_INDEX, type RefusalReason, S_REFUSALS } from "../../../../src/proxy/table/counters.ts";
import type { UdpSession } from "../../../../src/proxy/udp/session.ts";
import { EHOSTUNREACH } from "../../../../src/sys/errno.ts";
import { MemoryListener } from "../../../support/proxy/memory-listener.ts";
import { MemoryUdp } from "../../../support/proxy/memory-udp.ts";

const far = (node: string) =>
  ({ name: `on-${node}`, node, distance: "far", address: "web.internal" }) as const;

let udp: MemoryUdp;
let at: number;
let slot: number;

beforeEach(() => {
  udp = new MemoryUdp();
  at = udp.context.memory.take(4096);
  slot = 0;
});

/** The next datagram of the batch. */
function add(session: UdpSession, text: string): void {
  const { memory, toTasks } = udp.context;
  memory.bytes.set(Buffer.from(text), at);
  toTasks.add(session, slot++, at, text.length);
  at += text.length;
}

function sendAll(): string[] {
  udp.context.toTasks.sendAll();
  slot = 0;
  return udp.relays.sent.splice(0);
}

function refused(reason: RefusalReason): number {
  return udp.counters.services[0]![S_REFUSALS + REFUSAL_INDEX[reason]]!;
}

test("those of one session go together, in their order", () => {
  const listener = new MemoryListener(udp, [far("exit")]);
  const [one, two] = [listener.send(1001)!, listener.send(1002)!];
  add(one, "a1");
  add(two, "b1");
  add(one, "a2");
  expect(sendAll()).toEqual(["exit: a1", "exit: a2", "exit: b1"]);
  expect(sendAll()).toEqual([]);
});

test("those for a node that cannot be reached go to another node's task", () => {
  const listener = new MemoryListener(udp, [far("exit"), far("other")]);
  const session = listener.send(1001)!;
  const peer = session.target.peer!.name;
  const other = peer === "exit" ? "other" : "exit";
  udp.relays.unreachable.set(peer, EHOSTUNREACH);
  add(session, "one");
  add(session, "two");
  expect(sendAll()).toEqual([`${other}: one`, `${other}: two`]);
  expect([session.isClosed, refused("session-moved")]).toEqual([true, 1]);
  expect(listener.send(1001)!.target.peer!.name).toBe(other);
});

test("those that no node can be reached for are dropped and counted", () => {
  const listener = new MemoryListener(udp, [far("exit"), far("other")]);
  const session = listener.send(1001)!;
  for (const node of ["exit", "other"]) udp.relays.unreachable.set(node, EHOSTUNREACH);
  add(session, "one");
  add(session, "two");
  expect([sendAll(), refused("no-task")]).toEqual([[], 2]);
});

test("those of a session that ends before they are sent are counted", () => {
  const listener = new MemoryListener(udp, [far("exit")]);
  const session = listener.send(1001)!;
  add(session, "one");
  add(session, "two");
  listener.sessions.close(session, null);
  expect([sendAll(), refused("send-failed")]).toEqual([[], 2]);
});

test("what a session has here is sent before it makes room for another", () => {
  const listener = new MemoryListener(udp, [far("exit")], { maxSessions: 1 });
  add(listener.send(1001)!, "one");
  const next = listener.send(1002)!;
  expect([udp.relays.sent, refused("session-limit")]).toEqual([["exit: one"], 1]);
  add(next, "two");
  expect(sendAll()).toEqual(["exit: one", "exit: two"]);
});
