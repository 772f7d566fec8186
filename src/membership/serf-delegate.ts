/**
 * The part of serf that its agents need to see of us: intents with Lamport times, so that a leave is not taken
 * for a failure, and rebroadcasts of the agents' messages. serf: serf/delegate.go, serf.go.
 *
 * Everything remembered is bounded; the oldest goes first.
 */
import {
  decodeSerfMessage,
  encodeSerfMessage,
  QUERY_NO_REBROADCAST,
  type SerfMessage,
  type SerfRecentEvent,
  type SerfState,
} from "../wire/gossip/index.ts";
import { LamportClock } from "./lamport-clock.ts";
import type { Intent, SerfDelegateState } from "./member-state.ts";
import { MAX_NAME_BYTES } from "./member-updates.ts";
import { RecentSet } from "./recent-set.ts";

const MAX_REMEMBERED = 8_192;
/** Entries looked at for one to forget: most are of members when there are many. */
const MAX_LOOKS = 8;
/** As many as an agent keeps. */
const MAX_EVENTS = 512;
/** Of their names and payloads; they go along with every push/pull. */
const MAX_EVENT_BYTES = 64 * 1024;

export interface SerfHost {
  /** To all members, by gossip. */
  readonly broadcast: (payload: Uint8Array, key: string | null, onGone?: () => void) => void;
  readonly isKnown: (node: string) => boolean;
  /** Alive or under suspicion. */
  readonly isLive: (node: string) => boolean;
  /** A member leaves, or another one announces it for a member that failed. */
  readonly onLeaveIntent: (node: string, prune: boolean) => void;
}

/** Of the newest intent. */
interface Status {
  readonly ltime: number;
  intent: Intent;
}

const UNHEARD: Readonly<Status> = { ltime: 0, intent: "join" };

export class SerfDelegate {
  readonly #clock = new LamportClock();
  readonly #eventClock = new LamportClock();
  readonly #queryClock = new LamportClock();
  /** Of known members and, for a while, unknown ones. */
  readonly #statuses = new Map<string, Status>();
  /** Goes round through them, the oldest first, to find one to forget. */
  #forgetting = this.#statuses.keys();
  readonly #seen = new RecentSet(MAX_REMEMBERED);
  /** Oldest first: gossip misses a member now and then, and push/pull brings it what it has missed. */
  readonly #events: SerfRecentEvent[] = [];
  #eventBytes = 0;
  #isLeaving = false;

  constructor(
    readonly self: string,
    readonly host: SerfHost,
  ) {}

  /** After a join: lifts our status above leave intents of an earlier life. */
  announce(): void {
    const ltime = this.#clock.increment(); // a leave that follows is later
    this.#remember(this.self, ltime, "join");
    this.host.broadcast(
      encodeSerfMessage({ type: "join-intent", ltime, node: this.self }),
      `intent ${this.self}`,
    );
  }

  /** @param onGone it was sent often enough to reach all members */
  leave(node: string, prune: boolean, onGone?: () => void): void {
    if (node === this.self) this.#isLeaving = true;
    const ltime = this.#clock.increment();
    this.#remember(node, ltime, "leave");
    this.host.broadcast(
      encodeSerfMessage({ type: "leave-intent", ltime, node, prune }),
      `intent ${node}`,
      onGone,
    );
  }

  onMessage(payload: Uint8Array): void {
    const message = decodeSerfMessage(payload);
    if (message !== null && this.#isNews(message)) this.#onNews(message, payload);
  }

  /** What push/pull carries for others, with our own digest in it. */
  state(members: Iterable<string>, left: readonly string[], digest: Uint8Array): SerfState {
    const statusLTimes = new Map<string, number>();
    const leftMembers = left.filter((name) => this.#statuses.get(name)?.intent !== "return");
    const isLeft = new Set(leftMembers);
    for (const name of members) {
      statusLTimes.set(name, this.#toldTime(name, isLeft.has(name)));
      this.#noteReturn(name);
    }
    return {
      ltime: this.#clock.now,
      eventLTime: this.#eventClock.now,
      queryLTime: this.#queryClock.now,
      events: this.#events,
      statusLTimes,
      leftMembers,
      digest,
    };
  }

  /**
   * An agent adds one to the time of a member that left, because it expects that of the join. One more than that of the
   * leave might be the time of the member's next join, after which the agent would see it leaving for good.
   */
  #toldTime(name: string, isLeft: boolean): number {
    const { ltime, intent } = this.#statuses.get(name) ?? UNHEARD;
    return isLeft && intent === "leave" ? ltime - 1 : ltime;
  }

  #noteReturn(name: string): void {
    const status = this.#statuses.get(name);
    if (status?.intent === "return" && this.host.isLive(name)) status.intent = "join";
  }

  /** [GOSSIP] Times that come with a state are one ahead. */
  mergeState(state: SerfState): void {
    if (state.ltime > 0) this.#clock.witness(state.ltime - 1);
    if (state.eventLTime > 0) this.#eventClock.witness(state.eventLTime - 1);
    if (state.queryLTime > 0) this.#queryClock.witness(state.queryLTime - 1);
    for (const event of state.events) this.#keepIfNew(event);
    const left = new Set(state.leftMembers);
    for (const [node, ltime] of state.statusLTimes) {
      if (!left.has(node)) this.#onStatusTime(node, ltime);
      else if (node === this.self || !this.host.isLive(node)) this.#onLeave(node, ltime + 1, false);
      // else it has come back since: the members of the same state are merged already
    }
  }

  #onStatusTime(node: string, ltime: number): void {
    if (node === this.self) this.#outdo(ltime);
    else this.#onJoin(node, ltime);
  }

  /** Agents make up leave intents (see `#toldTime`), and one that has may see this node leaving until it joins later than that. */
  #outdo(ltime: number): void {
    if (this.#isLeaving || ltime <= this.#timeOf(this.self)) return;
    if (this.#clock.witness(ltime)) this.announce();
  }

  /** For another process of this node. */
  export(): SerfDelegateState {
    return {
      ltime: this.#clock.now,
      eventLTime: this.#eventClock.now,
      queryLTime: this.#queryClock.now,
      events: this.#events,
      statusLTimes: [...this.#statuses].map(([node, { ltime, intent }]) => [node, ltime, intent]),
    };
  }

  continueFrom({ ltime, eventLTime, queryLTime, events, statusLTimes }: SerfDelegateState): void {
    this.#clock.continueAt(ltime);
    this.#eventClock.continueAt(eventLTime);
    this.#queryClock.continueAt(queryLTime);
    for (const event of events) this.#keepIfNew(event);
    for (const [node, time, intent = "join"] of statusLTimes) this.#remember(node, time, intent);
  }

  forget(node: string): void {
    this.#statuses.delete(node);
  }

  #isNews(message: SerfMessage): boolean {
    switch (message.type) {
      case "leave-intent":
      case "join-intent":
        return this.#clock.witness(message.ltime) && message.ltime > this.#timeOf(message.node);
      case "user-event":
        return this.#keepIfNew(message);
      case "query":
        return this.#queryClock.witness(message.ltime) && this.#seen.add(`q ${message.ltime} ${message.id}`);
      case "query-response":
        return false; // we ask nothing
    }
  }

  #onNews(message: SerfMessage, payload: Uint8Array): void {
    switch (message.type) {
      case "leave-intent":
        this.#onLeave(message.node, message.ltime, message.prune);
        if (message.node === this.self) break; // answered, not handed on
        this.host.broadcast(payload, `intent ${message.node}`);
        break;
      case "join-intent":
        this.#onJoin(message.node, message.ltime);
        this.host.broadcast(payload, `intent ${message.node}`);
        break;
      case "query":
        if ((message.flags & QUERY_NO_REBROADCAST) === 0) this.host.broadcast(payload, null);
        break;
      case "user-event":
        this.host.broadcast(payload, null);
    }
  }

  /** False when it was known. */
  #keepIfNew({ ltime, name, payload }: SerfRecentEvent): boolean {
    if (!this.#eventClock.witness(ltime)) return false;
    if (!this.#seen.add(`e ${ltime} ${Bun.hash(name)} ${Bun.hash(payload)}`)) return false;
    this.#events.push({ ltime, name, payload });
    this.#eventBytes += name.length + payload.length;
    while (this.#events.length > MAX_EVENTS || this.#eventBytes > MAX_EVENT_BYTES) {
      const oldest = this.#events.shift()!;
      this.#eventBytes -= oldest.name.length + oldest.payload.length;
    }
    return true;
  }

  #onJoin(node: string, ltime: number): void {
    const isReturn = this.host.isKnown(node) && !this.host.isLive(node);
    this.#remember(node, ltime, isReturn ? "return" : "join");
  }

  #onLeave(node: string, ltime: number, prune: boolean): void {
    if (ltime <= this.#timeOf(node)) return;
    if (node === this.self) return this.#outdo(ltime);
    this.#remember(node, ltime, "leave");
    this.host.onLeaveIntent(node, prune);
  }

  #timeOf(node: string): number {
    return (this.#statuses.get(node) ?? UNHEARD).ltime;
  }

  #remember(node: string, ltime: number, intent: Intent): void {
    const known = this.#statuses.get(node);
    if (node.length > MAX_NAME_BYTES || (known !== undefined && ltime <= known.ltime)) return;
    this.#statuses.delete(node); // to the end: the oldest go first
    this.#statuses.set(node, { ltime, intent });
    if (this.#statuses.size > MAX_REMEMBERED) this.#forgetOne();
  }

  #forgetOne(): void {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const { value, done } = this.#forgetting.next();
      if (done === true) this.#forgetting = this.#statuses.keys();
      else if (!this.host.isKnown(value)) return void this.#statuses.delete(value);
    }
  }
}
