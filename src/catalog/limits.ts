/**
 * Limits of the catalog. A write is refused at the limit, a record from another node a little above it: concurrent writers,
 * or a new record that overtakes the removal of an old one, may exceed the limit for a moment without being at fault.
 * The limits of one service are in model/limits.ts.
 */
import { MAX_SERVICES_PER_FILE, MAX_TASKS_PER_NODE } from "../model/index.ts";

export const MAX_SERVICES = 4096;
export const MAX_DECLARATIONS_PER_NODE = MAX_SERVICES_PER_FILE;
/** Directives are few; as many as services keeps a mistaken script from filling memory. */
export const MAX_DIRECTIVES = 4096;
/** Nodes that have records, dead ones of the last day included. */
export const MAX_OWNERS = 4096;
/** What others may hold beyond a limit before their records are refused. */
const SLACK = 1.25;
/** Shared rows by group: unknown ones are of kinds that newer versions have. */
export const MAX_SHARED_HELD = {
  service: MAX_SERVICES * SLACK,
  directive: MAX_DIRECTIVES * SLACK,
  unknown: MAX_SERVICES * SLACK,
} as const;
/** Of one owner: tasks, declarations and the node itself. */
export const MAX_OWNED_HELD = (MAX_TASKS_PER_NODE + MAX_DECLARATIONS_PER_NODE + 1) * SLACK;

/** Tombstones of shared records: the ones with the lowest stamps go first. Each costs about 200 bytes on every node. */
export const MAX_SHARED_TOMBSTONES = 4096;
/** Per owner; a node whose tasks come and go every few seconds reaches it before their day is over. */
export const MAX_OWNED_TOMBSTONES = 10_000;
/** Of declarations, per owner: apart from those of tasks, which come and go more often. */
export const MAX_DECLARATION_TOMBSTONES = 4096;
/**
 * Of shared records and declarations: longer than any outage after which a node may come back with services that were
 * removed meanwhile.
 */
export const SERVICE_TOMBSTONE_LIFE_MS = 30 * 24 * 3_600_000;
export const OWNED_TOMBSTONE_LIFE_MS = 24 * 3_600_000;
/** How long records of a dead node are kept, hidden, in case it comes back. */
export const DEAD_OWNER_LIFE_MS = 24 * 3_600_000;

/** Earlier versions that a version of a service names: by them it is known what a change was made without. */
export const MAX_REPLACED = 8;

/** Of a record's encoded value. */
export const MAX_VALUE_BYTES = 64 * 1024;

/** Of the path of a configuration file. */
export const MAX_FILE_LENGTH = 255;
export const MAX_BIND_ERRORS = 64;
export const MAX_BIND_ERROR_LENGTH = 256;
/** Of one node; the first ones of a machine with more. */
export const MAX_NODE_ADDRESSES = 128;
export const MAX_INTERFACE_NAME_LENGTH = 15;
export const MAX_TASK_ADDRESSES = 32;
/** Of a node's record, as JSON; tasks beyond it count as reachable for other nodes. */
export const MAX_DOWN_TASKS_BYTES = 8 * 1024;
export const MAX_DOWN_TASKS = 1024;
/** Of one task; the first ones are announced. */
export const MAX_DOWN_PORTS = 64;

/** Exactly representable, and far beyond what honest writers reach. */
export const MAX_COUNTER = 2 ** 52;
/** A counter that is further ahead than this is a mistake or a lie, and would leave no room for anybody's next write. */
export const MAX_COUNTER_STEP = 2 ** 40;

/** Of the reason for the health of a task. */
export const MAX_HEALTH_REASON_LENGTH = 200;
