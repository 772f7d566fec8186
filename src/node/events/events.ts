/**
 * The last events of this node. Recording costs an entry of a ring and nothing else: what is recorded is decided by the
 * parts that know, with the words of their log lines.
 */
import {
  type EventFilter,
  MAX_EVENT_MESSAGE_LENGTH,
  MAX_EVENTS,
  matchesEvent,
  type NewEvent,
  type NodeEvent,
} from "../../model/index.ts";

export interface EventsOptions {
  /** Name of this node. */
  readonly self: string;
  /** ms since 1970 */
  readonly nowMs: () => number;
}

/** What the other parts of a node see of it. */
export interface EventSink {
  record(event: NewEvent): void;
}

/** For parts that are used without a node. */
export const NO_EVENTS: EventSink = { record: () => undefined };

type Listener = (event: NodeEvent) => void;

export class Events implements EventSink {
  readonly #options: EventsOptions;
  /** Oldest first; bounded by MAX_EVENTS. */
  #ring: NodeEvent[] = [];
  /** Starts with the time, so that the numbers of a node increase from one run to the next. */
  #nextId: number;
  readonly #listeners = new Set<Listener>();

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#nextId = options.nowMs();
  }

  /** Id of the newest; 0: there is none. */
  get lastId(): number {
    return this.#ring.at(-1)?.id ?? 0;
  }

  record({ kind, message, ...about }: NewEvent): void {
    const { self, nowMs } = this.#options;
    const text = message.replaceAll(/\s*\n\s*/g, " ");
    const event: NodeEvent = {
      id: this.#nextId++,
      at: new Date(nowMs()).toISOString(),
      node: self,
      kind,
      message:
        text.length <= MAX_EVENT_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_EVENT_MESSAGE_LENGTH - 1)}…`,
      ...about,
    };
    this.#ring.push(event);
    if (this.#ring.length > MAX_EVENTS) this.#ring.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** Oldest first. @param after only those with a higher id; one that this run cannot have given is passed over */
  recent(filter: EventFilter = {}, after = 0): readonly NodeEvent[] {
    const first = after >= this.#nextId ? 0 : after;
    const found = this.#ring.filter((event) => event.id > first && matchesEvent(event, filter));
    const { limit = MAX_EVENTS } = filter;
    return limit === 0 ? [] : found.slice(-limit);
  }

  /** Every event from now on, until it is disposed of. */
  subscribe(listener: Listener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** For the process that takes over. */
  export(): readonly NodeEvent[] {
    return this.#ring;
  }

  /** The events of the process that ran this node before come first. */
  continueFrom(events: readonly NodeEvent[]): void {
    const last = events.at(-1)?.id ?? 0;
    const own = this.#ring.map((event, index) => ({ ...event, id: Math.max(last + 1 + index, event.id) }));
    this.#ring = [...events, ...own].slice(-MAX_EVENTS);
    this.#nextId = Math.max(this.#nextId, this.lastId + 1);
  }
}
