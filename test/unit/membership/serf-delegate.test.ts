import { describe, expect, test } from "bun:test";
import { SerfDelegate } from "../../../src/membership/serf-delegate.ts";
import {
  decodeSerfMessage,
  encodeSerfMessage,
  type SerfMessage,
  type SerfState,
} from "../../../src/wire/gossip/index.ts";

class Fixture {
  /** What is queued, by key as in the queue: later ones replace earlier ones. */
  readonly queue = new Map<string, SerfMessage>();
  readonly left: string[] = [];
  /** Members that are not alive. */
  readonly gone = new Set<string>();
  #unkeyed = 0;
  readonly serf = new SerfDelegate("self", {
    broadcast: (payload, key) => this.queue.set(key ?? `#${this.#unkeyed++}`, decodeSerfMessage(payload)!),
    isKnown: () => true,
    isLive: (node) => !this.gone.has(node),
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
    isLive: () => true,
    onLeaveIntent: () => undefined,
  });
  state.leave("self", false);
  serf.mergeState(state.state(["self"], ["self"], NO_DIGEST));
  const [answer] = [...queue.values()] as Extract<SerfMessage, { type: "join-intent" }>[];
  expect(answer?.type).toBe("join-intent");
  expect(answer!.ltime).toBeGreaterThan(1);
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

/** How an agent sees one member, "b" or "self". serf: serf.go, handleNodeJoinIntent and handleNodeLeaveIntent. */
class Agent {
  status: "alive" | "leaving" | "left" | "failed" = "alive";
  ltime = 0;

  constructor(readonly name: string) {}

  join(ltime: number): void {
    if (ltime <= this.ltime) return;
    this.ltime = ltime;
    if (this.status === "leaving") this.status = "alive";
  }

  leave(ltime: number): void {
    if (ltime <= this.ltime) return;
    this.ltime = ltime;
    if (this.status === "alive") this.status = "leaving";
    else if (this.status === "failed") this.status = "left";
  }

  /** memberlist has given it up. serf: serf.go, handleNodeLeave */
  fail(): void {
    this.status = this.status === "leaving" ? "left" : "failed";
  }

  /** serf: delegate.go, MergeRemoteState */
  merge({ leftMembers, statusLTimes }: SerfState): void {
    const ltime = statusLTimes.get(this.name) ?? 0;
    if (leftMembers.includes(this.name)) this.leave(ltime + 1);
    else if (statusLTimes.has(this.name)) this.join(ltime);
  }

  /** serf: delegate.go, LocalState */
  get state(): SerfState {
    const times = { ltime: this.ltime + 1, eventLTime: 1, queryLTime: 1 };
    const leftMembers = this.status === "left" ? [this.name] : [];
    return {
      ...times,
      events: [],
      statusLTimes: new Map([[this.name, this.ltime]]),
      leftMembers,
      digest: NO_DIGEST,
    };
  }
}

describe("a member that left and comes back, as an agent sees it after a push/pull", () => {
  /** Both have heard b join at 3 and leave at 5; the agent has b alive again, this node has not. */
  function returned(): { readonly ours: Fixture; readonly agent: Agent } {
    const [ours, agent] = [new Fixture(), new Agent("b")];
    ours.hear({ type: "join-intent", node: "b", ltime: 3 });
    ours.hear({ type: "leave-intent", node: "b", ltime: 5, prune: false });
    ours.gone.add("b");
    agent.ltime = 5;
    return { ours, agent };
  }
  const stateOf = ({ serf, gone }: Fixture) => serf.state(["b"], [...gone], NO_DIGEST);

  test("is alive: its join intent has not come yet", () => {
    const { ours, agent } = returned();
    agent.merge(stateOf(ours));
    expect(agent.status).toBe("alive");
  });

  test("is alive: its join intent is the next after its leave", () => {
    const { ours, agent } = returned();
    agent.join(6);
    agent.merge(stateOf(ours));
    expect(agent.status).toBe("alive");
  });

  test("is alive: its join intent came here before its sign of life", () => {
    const { ours, agent } = returned();
    ours.hear({ type: "join-intent", node: "b", ltime: 7 });
    agent.join(7);
    agent.merge(stateOf(ours));
    expect(agent.status).toBe("alive");
    expect(stateOf(ours).leftMembers).toEqual([]);
  });

  test("is left again when it leaves again, also when that intent is lost", () => {
    const { ours, agent } = returned();
    ours.hear({ type: "join-intent", node: "b", ltime: 7 });
    ours.gone.delete("b");
    agent.merge(stateOf(ours));
    ours.gone.add("b");
    agent.fail();
    agent.merge(stateOf(ours));
    expect(agent.status).toBe("left");
  });

  test("has left: the agent missed the leave intent and took it for failed", () => {
    const { ours, agent } = returned();
    agent.ltime = 3;
    agent.fail();
    agent.merge(stateOf(ours));
    expect(agent.status).toBe("left");
  });

  test("what an agent says of it, late, changes nothing once it is alive here", () => {
    const { ours, agent } = returned();
    agent.status = "left";
    ours.gone.delete("b");
    ours.serf.mergeState(agent.state);
    expect(ours.left).toEqual(["b"]);
    expect(stateOf(ours).statusLTimes.get("b")).toBe(5);
  });

  test("nodes that tell each other of it do not raise its time", () => {
    const [one, other] = [returned().ours, returned().ours];
    for (let exchanges = 0; exchanges < 3; exchanges++) {
      one.serf.mergeState(stateOf(other));
      other.serf.mergeState(stateOf(one));
    }
    expect(stateOf(one).statusLTimes.get("b")).toBe(4);
  });

  test("this node: an agent that holds it for leaving, later than it has joined, hears it join again", () => {
    const { serf, queue } = new Fixture();
    const agent = new Agent("self");
    serf.announce();
    agent.merge(serf.state(["self"], [], NO_DIGEST));
    agent.leave(9);
    expect(agent.status).toBe("leaving");
    serf.mergeState(agent.state);
    const said = queue.get("intent self") as Extract<SerfMessage, { type: "join-intent" }>;
    agent.join(said.ltime);
    expect(agent.status).toBe("alive");
    queue.clear();
    serf.mergeState(agent.state);
    expect(queue.size).toBe(0);
  });

  test("this node, while it leaves, does not", () => {
    const { serf, queue } = new Fixture();
    const agent = new Agent("self");
    serf.leave("self", false);
    queue.clear();
    agent.leave(9);
    serf.mergeState(agent.state);
    expect(queue.size).toBe(0);
  });
});
