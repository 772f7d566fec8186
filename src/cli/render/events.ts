/** Events as lines: when, which node says so, what kind, and the words. */
import type { EventList } from "../../admin/index.ts";
import type { NodeEvent } from "../../model/index.ts";
import { escapeToOneLine } from "../../sys/terminal-text.ts";
import { formatTime } from "./format.ts";

/** Nodes of other lengths move the rest of their line. */
const NODE_WIDTH = 12;
const KIND_WIDTH = 16;

/** Ends with a line end. */
export function renderEvent({ at, node, kind, message }: NodeEvent): string {
  const cells = [formatTime(Date.parse(at)), node.padEnd(NODE_WIDTH), kind.padEnd(KIND_WIDTH), message];
  return `${escapeToOneLine(cells.join("  "))}\n`;
}

/** For standard error; "" when every node has answered. */
export function renderUnanswered(unanswered: EventList["unanswered"]): string {
  return unanswered.map(({ node, reason }) => `no events from node ${node}: ${reason}\n`).join("");
}
