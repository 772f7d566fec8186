/**
 * How a node asks another for its events, as user messages of the memberlist protocol over TCP: a type byte, a version
 * byte, JSON. With cluster keys gossip encrypts and authenticates them. An answer is one page, oldest first.
 */
import { z } from "zod";
import {
  MAX_EVENTS,
  MAX_NODE_NAME_LENGTH,
  MAX_TASK_NAME_LENGTH,
  type NodeEvent,
  nodeEvent,
} from "../../model/index.ts";

/** First byte of the payload; catalogs and tests of ports have those before it. */
export const EVENTS = 21;
const VERSION = 1;
const HEAD_BYTES = 2;
const MAX_BYTES = 60 * 1024;
/** Of the events of a page; the rest of the message is names. */
const PAGE_BYTES = 48 * 1024;
const MAX_KINDS = 64;
const MAX_TEXT = 512;

const text = z.string().max(MAX_TEXT);

const message = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("ask"),
    from: z.string().max(MAX_NODE_NAME_LENGTH),
    /** Only events with a higher id. */
    after: z.number().min(0),
    service: z.string().max(MAX_TASK_NAME_LENGTH).optional(),
    kinds: z.array(z.string().max(MAX_NODE_NAME_LENGTH)).max(MAX_KINDS).optional(),
    sinceMs: z.number().optional(),
    limit: z.int().min(0).max(MAX_EVENTS),
  }),
  z.object({
    type: z.literal("events"),
    events: z.array(nodeEvent).max(MAX_EVENTS),
    /** There are newer ones. */
    isMore: z.boolean(),
    /** Of the newest event of the node, whatever was asked for; 0: it has none. */
    lastId: z.number().min(0),
  }),
  z.object({ type: z.literal("refused"), reason: text }),
]);

export type EventsMessage = Readonly<z.output<typeof message>>;
export type EventsPage = Extract<EventsMessage, { type: "events" }>;

export function encodeEvents(said: EventsMessage): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(said));
  const bytes = new Uint8Array(HEAD_BYTES + json.length);
  bytes.set([EVENTS, VERSION]);
  bytes.set(json, HEAD_BYTES);
  return bytes;
}

/** null: it is none, or of a newer version. Never throws. */
export function decodeEvents(payload: Uint8Array): EventsMessage | null {
  if (payload[0] !== EVENTS || payload[1] !== VERSION || payload.length > MAX_BYTES) return null;
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(payload.subarray(HEAD_BYTES)));
    return message.safeParse(json).data ?? null;
  } catch {
    return null;
  }
}

/** The first events that fit into one answer. */
export function pageOf(events: readonly NodeEvent[], lastId: number): EventsPage {
  let bytes = 0;
  const tooMany = events.findIndex((event) => {
    bytes += Buffer.byteLength(JSON.stringify(event)) + 1;
    return bytes > PAGE_BYTES;
  });
  const fitting = tooMany < 0 ? events : events.slice(0, Math.max(1, tooMany));
  return { type: "events", events: [...fitting], isMore: fitting.length < events.length, lastId };
}
