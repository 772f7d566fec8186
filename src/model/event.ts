/**
 * Events: what an operator asks for after an incident. Every node keeps its own last ones; the same schema checks those
 * that other nodes send and describes them in the API.
 */
import { z } from "zod";
import { choice } from "./fields.ts";
import { MAX_NODE_NAME_LENGTH, MAX_TASK_NAME_LENGTH } from "./names.ts";

export const EVENT_KINDS = [
  "node-joined",
  "node-left",
  "node-failed",
  "node-draining",
  "task-healthy",
  "task-unhealthy",
  "task-draining",
  "task-unreachable",
  "task-reachable",
  "reload",
  "reload-failed",
  "conflict",
  "key-rotated",
  "bind-error",
  "upgrade",
  "start",
  "stop",
  "panic",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** A node keeps so many. */
export const MAX_EVENTS = 1_000;
export const MAX_EVENT_MESSAGE_LENGTH = 500;
const MAX_PORT_LENGTH = 64;

export const eventKind = choice(EVENT_KINDS);

const about = {
  service: z.string().max(MAX_TASK_NAME_LENGTH).optional(),
  task: z.string().max(MAX_TASK_NAME_LENGTH).optional(),
  /** "8080/tcp" */
  port: z.string().max(MAX_PORT_LENGTH).optional(),
  /** Another node. */
  peer: z.string().max(MAX_NODE_NAME_LENGTH).optional(),
};

export const nodeEvent = z.object({
  /** Increases on its node, also from one start to the next. */
  id: z.int().min(0),
  /** Of the clock of its node. */
  at: z.iso.datetime(),
  node: z.string().max(MAX_NODE_NAME_LENGTH),
  /** Those of newer versions are passed on. */
  kind: z.string().max(MAX_PORT_LENGTH),
  message: z.string().max(MAX_EVENT_MESSAGE_LENGTH),
  ...about,
});

export type NodeEvent = Readonly<z.output<typeof nodeEvent>>;

export interface NewEvent {
  readonly kind: EventKind;
  /** One line, without the name of this node. */
  readonly message: string;
  readonly service?: string;
  readonly task?: string;
  readonly port?: string;
  readonly peer?: string;
}

/** Which events; nothing of it: all of them. */
export interface EventFilter {
  readonly service?: string | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** At this time or later, ms since 1970. */
  readonly sinceMs?: number | undefined;
  /** The newest of them. */
  readonly limit?: number | undefined;
}

export function matchesEvent(event: NodeEvent, { service, kinds, sinceMs }: EventFilter): boolean {
  return (
    (service === undefined || event.service === service) &&
    (kinds === undefined || kinds.includes(event.kind)) &&
    (sinceMs === undefined || Date.parse(event.at) >= sinceMs)
  );
}
