import { expect, test } from "bun:test";
import { SerfDelegate } from "../../../src/membership/serf-delegate.ts";
import { decodeSerfMessage, encodeSerfMessage, type SerfMessage } from "../../../src/wire/gossip/index.ts";

class Fixture {
  /** What is queued, by key as in the queue: later ones replace earlier ones. */
  readonly queue = new Map<string, SerfMessage>();
  readonly left: string[] = [];
  #unkeyed = 0;
  readonly serf = new SerfDelegate("self", {
    broadcast: (payload, key) => this.queue.set(key ?? `#${this.#unkeyed++}`, decodeSerfMessage(payload)!),
    isKnown: () => true,
    onLeaveIntent: (node, prune) => this.left.push(prune ? `${node} prune` : node),
  });

  hear(message: Exclude<SerfMessage, { type: "query" }>): void {
    this.serf.onMessage(encodeSerfMessage(message));
  }
}

const NO_DIGEST = new Uint8Array();

test("a stale leave intent about this node is answered with a newer join intent, and not handed on", () => {
  const { queue, serf, ...rest } = new Fixture();
  serf.onMessage(encodeSerfMessage({ type: "leave-intent", ltime: 7, node: "self", prune: false }));
  expect([...queue.values()]).toEqual([{ type: "join-intent", ltime: 8, node: "self" }]);
  expect(rest.left).toEqual([]);
});

test("so is one that comes with a state, as a member that left", () => {
  const { queue, serf } = new Fixture();
  const state = new SerfDelegate("other", {
    broadcast: () => undefined,
    isKnown: () => true,
    onLeaveIntent: () => undefined,
  });
  state.leave("self", false);
  serf.mergeState(state.state(["self"], ["self"], NO_DIGEST));
  const [answer] = [...queue.values()] as Extract<SerfMessage, { type: "join-intent" }>[];
  expect(answer?.type).toBe("join-intent");
  expect(answer!.ltime).toBeGreaterThan(2);
});

test("while leaving it lets them", () => {
  const { queue, serf } = new Fixture();
  serf.leave("self", false);
  serf.onMessage(encodeSerfMessage({ type: "leave-intent", ltime: 9, node: "self", prune: false }));
  expect([...queue.values()].map(({ type }) => type)).toEqual(["leave-intent"]);
});

test("intents are handed on once, the newest of each node counts", () => {
  const fixture = new Fixture();
  const intent = { type: "leave-intent", node: "b", prune: false } as const;
  fixture.hear({ ...intent, ltime: 5 });
  fixture.hear({ ...intent, ltime: 5 });
  fixture.hear({ type: "join-intent", ltime: 4, node: "b" });
  expect(fixture.left).toEqual(["b"]);
  fixture.hear({ type: "join-intent", ltime: 6, node: "b" });
  fixture.hear({ ...intent, ltime: 6 });
  expect(fixture.left).toEqual(["b"]);
  fixture.hear({ ...intent, ltime: 7, prune: true });
  expect(fixture.left).toEqual(["b", "b prune"]);
  expect(fixture.queue.size).toBe(1);
});

test("user events are handed on once", () => {
  const fixture = new Fixture();
  const event = {
    type: "user-event",
    ltime: 3,
    name: "deploy",
    payload: Uint8Array.of(1),
    coalesce: false,
  } as const;
  fixture.hear(event);
  fixture.hear(event);
  expect(fixture.queue.size).toBe(1);
  fixture.hear({ ...event, payload: Uint8Array.of(2) });
  expect(fixture.queue.size).toBe(2);
});

test("who has missed an event hears of it with a state, and does not hand it on", () => {
  const [teller, hearer] = [new Fixture(), new Fixture()];
  const event = { ltime: 3, name: "deploy", payload: Uint8Array.of(1) };
  teller.hear({ type: "user-event", ...event, coalesce: false });
  for (let time = 0; time < 2; time++) {
    hearer.serf.mergeState(teller.serf.state([], [], NO_DIGEST));
    expect(hearer.serf.state([], [], NO_DIGEST)).toMatchObject({ eventLTime: 4, events: [event] });
  }
  hearer.hear({ type: "user-event", ...event, coalesce: false });
  expect(hearer.queue.size).toBe(0);
});

test("of many events the newest go along, and of large ones fewer", () => {
  const { serf, ...fixture } = new Fixture();
  const event = { type: "user-event", name: "e", payload: new Uint8Array(), coalesce: false } as const;
  const times = () => serf.state([], [], NO_DIGEST).events.map(({ ltime }) => ltime);
  for (let ltime = 1; ltime <= 600; ltime++) serf.onMessage(encodeSerfMessage({ ...event, ltime }));
  expect(times()).toEqual(Array.from({ length: 512 }, (_, index) => 600 - 511 + index));
  const payload = new Uint8Array(9_000);
  for (let ltime = 601; ltime <= 608; ltime++)
    serf.onMessage(encodeSerfMessage({ ...event, ltime, payload }));
  expect(times()).toEqual([602, 603, 604, 605, 606, 607, 608]);
  expect(fixture.queue.size).toBe(608);
});

test("an own intent is later than all that has been seen", () => {
  const fixture = new Fixture();
  fixture.hear({ type: "join-intent", ltime: 41, node: "b" });
  fixture.serf.announce();
  expect(fixture.queue.get("intent self")).toEqual({ type: "join-intent", ltime: 42, node: "self" });
  fixture.serf.leave("self", false);
  expect(fixture.queue.get("intent self")).toEqual({
    type: "leave-intent",
    ltime: 43,
    node: "self",
    prune: false,
  });
});
