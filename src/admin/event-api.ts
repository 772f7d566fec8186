/** Events as the admin API shows them. */
import type { EventFilter, NodeEvent } from "../model/index.ts";

export interface EventList {
  /** Oldest first. */
  readonly events: readonly NodeEvent[];
  /** Nodes whose events are missing, and why. */
  readonly unanswered: readonly { readonly node: string; readonly reason: string }[];
}

/** Where events go that are followed. */
export interface EventStream {
  onEvents(events: readonly NodeEvent[]): void;
  /** Whenever these are others than before. */
  onUnanswered(unanswered: EventList["unanswered"]): void;
  /** Nothing more comes. */
  end(): void;
}

export interface EventNode {
  /** Of the whole cluster. */
  events(filter: EventFilter): Promise<EventList>;
  /** Those of `events`, then every new one until it is disposed of. */
  followEvents(filter: EventFilter, stream: EventStream): Promise<Disposable>;
}
