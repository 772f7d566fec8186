/**
 * The events of the whole cluster. Each node keeps its own; the others are asked when somebody wants to see them, and
 * over again while somebody follows them. Events of one node are in order; those of several are put in order by their times.
 */
import type { EventList, EventStream } from "../../admin/index.ts";
import type { MemberState } from "../../membership/index.ts";
import { type EventFilter, MAX_EVENTS, matchesEvent, type NodeEvent } from "../../model/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { Events } from "./events.ts";
import { decodeEvents, EVENTS, type EventsMessage, encodeEvents, pageOf } from "./message.ts";

/** Nodes asked at the same time. */
const MAX_PARALLEL = 16;
/** Of one answer. */
const ANSWER_MS = 3_000;
/** Of a query, however many nodes there are: the command waits for it. */
const DEADLINE_MS = 8_000;
/** 1,000 long events of one node. */
const MAX_PAGES = 40;
/** Between two rounds of questions while somebody follows: at least this, and at most ten questions a second. */
const POLL_MS = 1_000;
const POLL_MS_PER_NODE = 100;

export interface EventPeer {
  readonly name: string;
  /** Literal address it announces. */
  readonly host: string;
  readonly state: MemberState;
  readonly isPortmesh: boolean;
}

export interface EventAnswer {
  readonly payload: Uint8Array | null;
  readonly failure: "no-answer" | "unreadable" | "unreached" | null;
}

export interface ClusterEventsOptions {
  readonly self: string;
  readonly events: Events;
  /** The other members. */
  readonly peers: () => readonly EventPeer[];
  readonly ask: (peer: EventPeer, payload: Uint8Array, timeoutMs: number) => Promise<EventAnswer>;
  /** Messages prove that their sender has a key of the cluster. */
  readonly hasKeys: () => boolean;
  readonly clock: Clock;
  /** ms since 1970 */
  readonly nowMs: () => number;
}

interface Question {
  readonly filter: EventFilter;
  /** Id of the last event that is known. */
  readonly after: number;
}

interface PeerEvents {
  readonly peer: EventPeer;
  readonly events: readonly NodeEvent[];
  /** Of its newest event; null: it did not say. */
  readonly lastId: number | null;
  /** Why there is no answer, or not all of it; null: this is all. */
  readonly failure: string | null;
}

export class ClusterEvents {
  readonly #options: ClusterEventsOptions;
  readonly #followers = new Set<EventStream>();
  /** Of the newest event of each other node, while somebody follows; bounded by the members. */
  readonly #lastIds = new Map<string, number>();
  #followedSinceMs = 0;
  /** Of rounds: counts how often a first follower came. */
  #series = 0;
  #cancelPoll: () => void = () => undefined;
  #firstRound: Promise<void> = Promise.resolve();
  /** Nodes that did not answer in the last round. */
  #unanswered: EventList["unanswered"] = [];

  constructor(options: ClusterEventsOptions) {
    this.#options = options;
  }

  /** By time. A node that does not answer is named and holds up nothing. */
  async query(filter: EventFilter): Promise<EventList> {
    const limit = filter.limit ?? MAX_EVENTS;
    const { events } = this.#options;
    const asked = await this.#askAll(() => ({ filter: { ...filter, limit }, after: 0 }));
    const all = [...events.recent({ ...filter, limit }), ...asked.flatMap((each) => each.events)];
    return { events: limit === 0 ? [] : inOrder(all).slice(-limit), unanswered: failuresOf(asked) };
  }

  /**
   * Those that a query gives, and then every new one: each once. What another node has by the end of the first round of
   * questions comes with the query, what is newer with the next rounds.
   */
  async follow(filter: EventFilter, stream: EventStream): Promise<Disposable> {
    const { events, self } = this.#options;
    const live = new LiveEvents(filter, stream);
    const own = events.subscribe((event) => live.onEvents([event]));
    const lastOwn = events.lastId;
    await this.#addFollower(live);
    live.forgetOthers(self);
    const last = new Map(this.#lastIds).set(self, lastOwn);
    const sinceMs = this.#followedSinceMs;
    const known = await this.query(filter);
    const isKnown = ({ node, id, at }: NodeEvent) => {
      const lastId = last.get(node);
      return lastId === undefined ? Date.parse(at) < sinceMs : id <= lastId;
    };
    live.begin({ ...known, events: known.events.filter(isKnown) });
    return {
      [Symbol.dispose]: () => {
        own[Symbol.dispose]();
        this.#removeFollower(live);
      },
    };
  }

  /** A question of another node; what to answer. */
  onMessage(payload: Uint8Array, fromHost: string): Uint8Array | null {
    const asked = payload[0] === EVENTS ? decodeEvents(payload) : null;
    if (asked?.type !== "ask") return null;
    return encodeEvents(this.#answer(asked, fromHost));
  }

  /** Ends what follows. */
  close(): void {
    this.#cancelPoll();
    for (const follower of this.#followers) follower.end();
    this.#followers.clear();
  }

  #answer(
    { from, after, ...filter }: Extract<EventsMessage, { type: "ask" }>,
    fromHost: string,
  ): EventsMessage {
    const { peers, hasKeys, events } = this.#options;
    const peer = peers().find(({ name }) => name === from);
    if (peer === undefined) return { type: "refused", reason: "it does not know this node" };
    if (!hasKeys() && fromHost !== peer.host)
      return { type: "refused", reason: `the request comes from ${fromHost}, not from ${peer.host}` };
    return pageOf(events.recent(filter, after), events.lastId);
  }

  // --- the others

  async #askAll(questionFor: (peer: EventPeer) => Question): Promise<PeerEvents[]> {
    const { clock, peers } = this.#options;
    const waiting = peers().filter(({ state, isPortmesh }) => isPortmesh && state !== "left");
    const done: PeerEvents[] = [];
    const endMs = clock.nowMs() + DEADLINE_MS;
    const work = async () => {
      for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift()) {
        const { filter, after } = questionFor(peer);
        done.push(await this.#askPeer(peer, filter, after, endMs));
      }
    };
    await Promise.all(Array.from({ length: MAX_PARALLEL }, work));
    return done;
  }

  async #askPeer(peer: EventPeer, filter: EventFilter, after: number, endMs: number): Promise<PeerEvents> {
    const events: NodeEvent[] = [];
    const limit = Math.min(filter.limit ?? MAX_EVENTS, MAX_EVENTS);
    const result = (failure: string | null, lastId: number | null): PeerEvents => ({
      peer,
      events,
      lastId,
      failure,
    });
    if (peer.state === "dead") return result("it has failed", null);
    let last = after;
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const leftMs = Math.min(ANSWER_MS, endMs - this.#options.clock.nowMs());
      if (leftMs <= 0) return result("timed out before its turn", null);
      const { service, kinds, sinceMs } = filter;
      const question = {
        ...{ type: "ask" as const, from: this.#options.self, after: last, limit: limit - events.length },
        ...(service !== undefined && { service }),
        ...(kinds !== undefined && { kinds: [...kinds] }),
        ...(sinceMs !== undefined && { sinceMs }),
      };
      const { payload, failure } = await this.#options.ask(peer, encodeEvents(question), leftMs);
      if (failure !== null) return result(FAILURES[failure], null);
      const said = payload === null ? null : decodeEvents(payload);
      if (said?.type === "refused") return result(said.reason, null);
      if (said?.type !== "events") return result(FAILURES["no-answer"], null);
      // a node speaks for itself only
      events.push(...said.events.filter(({ node }) => node === peer.name));
      const newest = said.events.at(-1);
      if (!said.isMore || newest === undefined || events.length >= limit) return result(null, said.lastId);
      last = newest.id;
    }
    return result("it has more events than fit", null);
  }

  // --- while somebody follows

  /** Resolves when it is known what the other nodes have now: `follower` gets what is newer. */
  async #addFollower(follower: EventStream): Promise<void> {
    this.#followers.add(follower);
    if (this.#followers.size === 1) {
      this.#cancelPoll();
      this.#lastIds.clear();
      this.#followedSinceMs = this.#options.nowMs();
      this.#firstRound = this.#round(++this.#series, () => ({ filter: { limit: 0 }, after: 0 }));
    }
    await this.#firstRound;
  }

  #removeFollower(follower: EventStream): void {
    this.#followers.delete(follower);
    if (this.#followers.size === 0) this.#cancelPoll();
  }

  async #round(series: number, questionFor: (peer: EventPeer) => Question): Promise<void> {
    const asked = await this.#askAll(questionFor);
    if (this.#followers.size === 0 || series !== this.#series) return;
    for (const { peer, lastId } of asked) if (lastId !== null) this.#lastIds.set(peer.name, lastId);
    const news = inOrder(asked.flatMap(({ events }) => events));
    const unanswered = failuresOf(asked);
    const isOther = !Bun.deepEquals(unanswered, this.#unanswered);
    this.#unanswered = unanswered;
    for (const follower of this.#followers) {
      if (isOther) follower.onUnanswered(unanswered);
      if (news.length > 0) follower.onEvents(news);
    }
    const waitMs = Math.max(POLL_MS, asked.length * POLL_MS_PER_NODE);
    const next = () => void this.#round(series, (peer) => this.#questionAfter(peer));
    this.#cancelPoll = this.#options.clock.after(waitMs, next);
  }

  /** A node that did not answer before may have events of long ago. */
  #questionAfter({ name }: EventPeer): Question {
    const lastId = this.#lastIds.get(name);
    if (lastId !== undefined) return { filter: {}, after: lastId };
    return { filter: { sinceMs: this.#followedSinceMs }, after: 0 };
  }
}

const FAILURES = {
  "no-answer": "it runs an older version without events",
  unreadable: "it uses another key or protocol",
  unreached: "no reply",
} as const;

function failuresOf(asked: readonly PeerEvents[]): EventList["unanswered"] {
  return asked
    .flatMap(({ peer, failure }) => (failure === null ? [] : [{ node: peer.name, reason: failure }]))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** By time; each node's are in its order already. */
function inOrder(events: readonly NodeEvent[]): NodeEvent[] {
  return [...events].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** What a follower gets: first what is known, then what comes in the meantime and later. */
class LiveEvents implements EventStream {
  readonly #filter: EventFilter;
  readonly #stream: EventStream;
  /** null: what is known has been passed on. */
  #early: NodeEvent[] | null = [];

  constructor({ service, kinds }: EventFilter, stream: EventStream) {
    this.#filter = { service, kinds };
    this.#stream = stream;
  }

  /** They are in the query that follows. */
  forgetOthers(self: string): void {
    this.#early = this.#early?.filter(({ node }) => node === self) ?? null;
  }

  begin({ events, unanswered }: EventList): void {
    const early = this.#early ?? [];
    this.#early = null;
    this.#stream.onEvents(events);
    this.#stream.onUnanswered(unanswered);
    this.#stream.onEvents(early);
  }

  onEvents(events: readonly NodeEvent[]): void {
    const wanted = events.filter((event) => matchesEvent(event, this.#filter));
    if (wanted.length === 0) return;
    if (this.#early === null) this.#stream.onEvents(wanted);
    else this.#early.push(...wanted);
  }

  onUnanswered(unanswered: EventList["unanswered"]): void {
    if (this.#early === null) this.#stream.onUnanswered(unanswered);
  }

  end(): void {
    this.#stream.end();
  }
}
