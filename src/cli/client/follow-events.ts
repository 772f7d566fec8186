/** Follows the events of the cluster through one node, also when another process takes over that node. */
import type { EventList } from "../../admin/index.ts";
import type { NodeEvent } from "../../model/index.ts";
import { CommandFailure } from "../invocation.ts";
import { streamOverSocket } from "./http.ts";

/** A node that restarts is back by then. */
const RETRY_FOR_MS = 15_000;
const RETRY_PAUSE_MS = 500;
/** Events of other nodes may come later than this node's: asked for again, and left out when they are known. */
const OVERLAP_MS = 30_000;
const AGAIN_STATUS = 503;

export type Followed =
  | { readonly type: "event"; readonly event: NodeEvent }
  | { readonly type: "unanswered"; readonly unanswered: EventList["unanswered"] };

/** Without end. @param query as in the API. Throws CommandFailure when the node is gone or refuses. */
export async function* followEvents(
  socket: string,
  query: Readonly<Record<string, string>>,
): AsyncGenerator<Followed> {
  const lastIds = new Map<string, number>(); // bounded by the nodes
  let next = query;
  let lostAtMs: number | null = null;
  for (;;) {
    let reason = "it has ended the stream";
    try {
      for await (const followed of oneStream(socket, next)) {
        lostAtMs = null;
        if (followed.type === "event") {
          const { node, id, at } = followed.event;
          if (id <= (lastIds.get(node) ?? 0)) continue;
          lastIds.set(node, id);
          const { limit: _limit, ...rest } = query;
          next = { ...rest, since: new Date(Date.parse(at) - OVERLAP_MS).toISOString() };
        }
        yield followed;
      }
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      reason = (error as Error).message;
    }
    lostAtMs ??= performance.now();
    if (performance.now() - lostAtMs > RETRY_FOR_MS)
      throw new CommandFailure(`lost the node on ${socket}: ${reason}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}

async function* oneStream(socket: string, query: Readonly<Record<string, string>>): AsyncGenerator<Followed> {
  let text = "";
  let status = 0;
  for await (const piece of streamOverSocket(socket, `/v1/events/stream?${new URLSearchParams(query)}`)) {
    status = piece.status;
    text += piece.text;
    if (status !== 200) continue;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const followed = readBlock(block);
      if (followed !== null) yield followed;
    }
  }
  if (status === 200) return;
  const reason = reasonIn(text) ?? `status ${status}`;
  if (status !== AGAIN_STATUS) throw new CommandFailure(`the node refuses to stream events: ${reason}`);
  throw new Error(reason);
}

/** null: a comment, or of a newer version. */
function readBlock(block: string): Followed | null {
  const type = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: (.*)$/m.exec(block)?.[1];
  if (data === undefined) return null;
  if (type === "event") return { type, event: JSON.parse(data) as NodeEvent };
  if (type === "unanswered") return { type, unanswered: JSON.parse(data) as EventList["unanswered"] };
  return null;
}

function reasonIn(text: string): string | null {
  try {
    const body = JSON.parse(text) as { error?: unknown };
    return typeof body.error === "string" ? body.error : null;
  } catch {
    return null;
  }
}
