/**
 * Events as a stream of server-sent events [HTML: server-sent events]:
 *
 *     event: event        data: one event as JSON         id: its time and node
 *     event: unanswered   data: the nodes whose events are missing, whenever they are others
 *     : comment           now and then, so that a client and what is between notice a dead connection
 *
 * A client that does not read is cut off: it may ask again from the last time it has seen.
 */
import type { EventStream } from "./event-api.ts";

const HEARTBEAT_MS = 15_000;
/** Beyond what the kernel holds. The events of a whole cluster at the start are one chunk. */
const MAX_WAITING_CHUNKS = 1_000;

const EVENT_STREAM_TYPE = "text/event-stream";

/** @param follow hands the stream its events until it is disposed of @param onClosed once, at the end of the response */
export function eventStream(follow: Follow, onClosed: () => void): Response {
  const source = new StreamSource(follow, onClosed);
  const body = new ReadableStream<Uint8Array>(source, { highWaterMark: MAX_WAITING_CHUNKS });
  return new Response(body, {
    headers: { "content-type": EVENT_STREAM_TYPE, "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

type Follow = (stream: EventStream) => Promise<Disposable>;

class StreamSource {
  readonly #follow: Follow;
  readonly #onClosed: () => void;
  readonly #encoder = new TextEncoder();
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #following: Disposable | null = null;
  #heartbeat: Timer | null = null;

  constructor(follow: Follow, onClosed: () => void) {
    this.#follow = follow;
    this.#onClosed = onClosed;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#heartbeat = setInterval(() => this.#send(": alive\n\n"), HEARTBEAT_MS);
    this.#send(": events\n\n");
    this.#begin().catch(() => this.#end());
  }

  cancel(): void {
    this.#end();
  }

  async #begin(): Promise<void> {
    const following = await this.#follow({
      onEvents: (events) => {
        const texts = events.map((event) => `event: event\nid: ${event.at} ${event.node}\n${dataOf(event)}`);
        if (texts.length > 0) this.#send(texts.join(""));
      },
      onUnanswered: (unanswered) => this.#send(`event: unanswered\n${dataOf(unanswered)}`),
      end: () => this.#end(),
    });
    if (this.#controller === null) following[Symbol.dispose]();
    else this.#following = following;
  }

  #send(text: string): void {
    if (this.#controller === null) return;
    if ((this.#controller.desiredSize ?? 0) <= 0) return this.#end();
    this.#controller.enqueue(this.#encoder.encode(text));
  }

  #end(): void {
    const controller = this.#controller;
    if (controller === null) return;
    this.#controller = null;
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    this.#following?.[Symbol.dispose]();
    this.#onClosed();
    try {
      controller.close();
    } catch {
      // the client has closed it
    }
  }
}

function dataOf(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
