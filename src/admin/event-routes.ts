/**
 * The events of the cluster over HTTP.
 *
 *     GET /v1/events?service=&kind=a,b&since=10m&limit=100   EventList
 *     GET /v1/events/stream, with the same query             server-sent events (event-stream.ts); the limit is of those at the start
 */
import type { Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import type { EventFilter } from "../model/index.ts";
import type { EventNode } from "./event-api.ts";
import { eventStream } from "./event-stream.ts";
import { DESCRIPTIONS } from "./openapi-parts.ts";
import { eventQuery, understand } from "./request-schema.ts";

/** Every one of them holds what it was sent and did not read. */
const MAX_STREAMS = 32;

export function addEvents(app: Hono, node: () => EventNode): void {
  let streams = 0;
  app.get("/v1/events", DESCRIPTIONS.events, async (c) => c.json(await node().events(filterOf(c))));
  app.get("/v1/events/stream", DESCRIPTIONS.eventStream, (c) => {
    const filter = filterOf(c);
    const found = node();
    if (streams >= MAX_STREAMS)
      throw new HTTPException(503, { message: `${MAX_STREAMS} streams of events are open already` });
    streams++;
    const onClosed = () => {
      streams--;
    };
    return eventStream((stream) => found.followEvents(filter, stream), onClosed);
  });
}

function filterOf(c: Context): EventFilter {
  const { kind, since, ...filter } = understand(eventQuery, c.req.query());
  return { ...filter, kinds: kind, sinceMs: since };
}
