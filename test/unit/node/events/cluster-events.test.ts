/** Three nodes and more in one process; questions go straight to the node they are for. */
import { expect, test } from "bun:test";
import type { EventList, EventStream } from "../../../../src/admin/index.ts";
import { MAX_EVENTS } from "../../../../src/model/index.ts";
import {
  ClusterEvents,
  type ClusterEventsOptions,
  type EventAnswer,
  type EventPeer,
} from "../../../../src/node/events/cluster-events.ts";
import { Events } from "../../../../src/node/events/events.ts";
import { decodeEvents, encodeEvents, pageOf } from "../../../../src/node/events/message.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const SILENT: EventAnswer = { payload: null, failure: "unreached" };

interface TestNode {
  readonly events: Events;
  readonly cluster: ClusterEvents;
  state: EventPeer["state"];
  /** null: it answers by itself. */
  answer: EventAnswer | null;
  questions: number;
}

function mesh(names: readonly string[], rest: Partial<ClusterEventsOptions> = {}) {
  const clock = new ManualClock();
  const nodes = new Map<string, TestNode>();
  const peersOf = (self: string) =>
    names
      .filter((name) => name !== self)
      .map((name) => ({
        name,
        host: `10.0.0.${names.indexOf(name)}`,
        state: node(name).state,
        isPortmesh: true,
      }));
  const node = (name: string) => nodes.get(name)!;
  for (const self of names) {
    const events = new Events({ self, nowMs: () => clock.nowMs() });
    const cluster = new ClusterEvents({
      self,
      events,
      peers: () => peersOf(self),
      hasKeys: () => true,
      ask: async ({ name }, payload) => {
        node(name).questions++;
        if (node(name).answer !== null) return node(name).answer!;
        const answer = node(name).cluster.onMessage(payload, `10.0.0.${names.indexOf(self)}`);
        return { payload: answer, failure: answer === null ? "no-answer" : null };
      },
      clock,
      nowMs: () => clock.nowMs(),
      ...rest,
    });
    nodes.set(self, { events, cluster, state: "alive", answer: null, questions: 0 });
  }
  return { clock, node };
}

class Heard implements EventStream {
  readonly messages: string[] = [];
  unanswered: EventList["unanswered"] = [];
  hasEnded = false;

  onEvents(events: EventList["events"]): void {
    this.messages.push(...events.map(({ message }) => message));
  }

  onUnanswered(unanswered: EventList["unanswered"]): void {
    this.unanswered = unanswered;
  }

  end(): void {
    this.hasEnded = true;
  }
}

test("any node answers for all, in the order of time", async () => {
  const { clock, node } = mesh(["a", "b", "c"]);
  for (const name of ["b", "a", "c", "b"]) {
    node(name).events.record({ kind: "reload", message: `${name}${clock.nowMs()}`, service: "web" });
    await clock.advance(10);
  }
  node("c").events.record({ kind: "stop", message: "other" });
  const { events, unanswered } = await node("a").cluster.query({ service: "web" });
  expect(events.map((event) => event.node)).toEqual(["b", "a", "c", "b"]);
  expect(unanswered).toEqual([]);
  const newest = await node("c").cluster.query({ limit: 2 });
  expect(newest.events.map(({ message }) => message)).toEqual([expect.stringMatching(/^b\d+30$/), "other"]);
});

test("who does not answer is named with the reason, and holds up nothing", async () => {
  const { node } = mesh(["a", "b", "c", "d", "e", "f", "g"]);
  node("b").answer = SILENT;
  node("c").answer = { payload: null, failure: "no-answer" };
  node("d").state = "dead";
  node("e").state = "left";
  node("f").answer = { payload: null, failure: "unreadable" };
  node("g").answer = { payload: Uint8Array.of(21, 99), failure: null };
  node("d").events.record({ kind: "reload", message: "not asked" });
  const { events, unanswered } = await node("a").cluster.query({});
  expect(events).toEqual([]);
  expect(unanswered).toEqual([
    { node: "b", reason: "no reply" },
    { node: "c", reason: "it runs an older version without events" },
    { node: "d", reason: "it has failed" },
    { node: "f", reason: "it uses another key or protocol" },
    { node: "g", reason: "it runs an older version without events" },
  ]);
  expect(node("d").questions + node("e").questions).toBe(0);
});

test("1,000 long events of a node come in pages that fit into an answer", async () => {
  const { node } = mesh(["a", "b"]);
  for (let i = 0; i < MAX_EVENTS + 1; i++)
    node("b").events.record({ kind: "bind-error", message: `${i} ${"é".repeat(490)}`, service: "web" });
  const { events, unanswered } = await node("a").cluster.query({});
  expect(unanswered).toEqual([]);
  expect(events.map(({ message }) => Number.parseInt(message, 10))).toEqual(
    Array.from({ length: MAX_EVENTS }, (_, i) => i + 1),
  );
  expect(node("b").questions).toBeGreaterThan(5);
  expect(encodeEvents(pageOf(events, 1)).length).toBeLessThan(60 * 1024);
});

test("a node speaks for itself only, and without keys answers only where the member is", async () => {
  const { node } = mesh(["a", "b"]);
  node("b").events.record({ kind: "reload", message: "of b" });
  const forged = node("b")
    .events.recent()
    .map((event) => ({ ...event, node: "a" }));
  node("b").answer = { payload: encodeEvents(pageOf(forged, 1)), failure: null };
  expect((await node("a").cluster.query({})).events).toEqual([]);
  const open = mesh(["a", "b"], { hasKeys: () => false });
  const ask = encodeEvents({ type: "ask", from: "a", after: 0, limit: 10 });
  const answer = (host: string) => decodeEvents(open.node("b").cluster.onMessage(ask, host)!)?.type;
  expect([answer("10.0.0.0"), answer("10.9.9.9")]).toEqual(["events", "refused"]);
  const stranger = encodeEvents({ type: "ask", from: "x", after: 0, limit: 10 });
  expect(decodeEvents(open.node("b").cluster.onMessage(stranger, "10.0.0.0")!)?.type).toBe("refused");
});

test("a follower gets what there is and then every new event of every node, once; others are asked while one follows", async () => {
  const { clock, node } = mesh(["a", "b", "c"]);
  node("a").events.record({ kind: "reload", message: "a-old" });
  node("b").events.record({ kind: "reload", message: "b-old" });
  const heard = new Heard();
  const following = await node("a").cluster.follow({}, heard);
  expect(heard.messages.toSorted()).toEqual(["a-old", "b-old"]);
  node("b").events.record({ kind: "reload", message: "b-new" });
  node("a").events.record({ kind: "reload", message: "a-new" });
  expect(heard.messages).toContain("a-new");
  await clock.advance(1_100);
  expect(heard.messages.slice(2)).toEqual(["a-new", "b-new"]);
  const second = new Heard();
  const alsoFollowing = await node("a").cluster.follow({ kinds: ["stop"] }, second);
  node("c").events.record({ kind: "stop", message: "c-stop" });
  node("c").events.record({ kind: "reload", message: "c-reload" });
  await clock.advance(1_100);
  expect(second.messages).toEqual(["c-stop"]);
  expect(heard.messages.slice(4)).toEqual(["c-stop", "c-reload"]);
  following[Symbol.dispose]();
  alsoFollowing[Symbol.dispose]();
  const { questions } = node("b");
  await clock.advance(10_000);
  expect(node("b").questions).toBe(questions);
  expect(clock.timerCount).toBe(0);
});

test("a follower hears of a node that falls silent, and gets what it missed when it is back", async () => {
  const { clock, node } = mesh(["a", "b"]);
  const heard = new Heard();
  using _following = await node("a").cluster.follow({}, heard);
  node("b").answer = SILENT;
  await clock.advance(1_100);
  expect(heard.unanswered).toEqual([{ node: "b", reason: "no reply" }]);
  node("b").events.record({ kind: "reload", message: "meanwhile" });
  await clock.advance(1_100);
  expect(heard.messages).toEqual([]);
  node("b").answer = null;
  await clock.advance(1_100);
  expect(heard.unanswered).toEqual([]);
  expect(heard.messages).toEqual(["meanwhile"]);
});

test("a first round in which nobody answers loses nothing", async () => {
  const { clock, node } = mesh(["a", "b"]);
  node("b").answer = SILENT;
  const heard = new Heard();
  using _following = await node("a").cluster.follow({}, heard);
  await clock.advance(5);
  node("b").events.record({ kind: "reload", message: "b-new" });
  node("b").answer = null;
  await clock.advance(1_100);
  expect(heard.messages).toEqual(["b-new"]);
});

test("closing ends every follower", async () => {
  const { clock, node } = mesh(["a", "b"]);
  const heard = new Heard();
  await node("a").cluster.follow({}, heard);
  node("a").cluster.close();
  expect(heard.hasEnded).toBe(true);
  expect(clock.timerCount).toBe(0);
});

test.each([
  ["empty", new Uint8Array()],
  ["cut off", encodeEvents({ type: "refused", reason: "x" }).subarray(0, 9)],
  ["a newer version", Uint8Array.of(21, 2, 0x7b, 0x7d)],
  ["an unknown type", new TextEncoder().encode('\u0015\u0001{"type":"other"}')],
  ["too long", new Uint8Array(70_000).fill(21)],
])("a message that is %s is not read", (_, bytes) => {
  expect(decodeEvents(bytes)).toBeNull();
});
