/** The replicated table of services, tasks, nodes and directives. Synchronous: bytes and time in, effects out. */
export type { Effect } from "./anti-entropy.ts";
export { Catalog } from "./catalog.ts";
export { type Conflict, findConflicts } from "./conflicts.ts";
export type { Definition, VisibleService } from "./definitions.ts";
export {
  applyFileChanges,
  compareFile,
  type FileAge,
  type FileChanges,
  type FileDeclarations,
} from "./file-changes.ts";
export {
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  MAX_DOWN_PORTS,
  MAX_DOWN_TASKS_BYTES,
  MAX_FILE_LENGTH,
  MAX_HEALTH_REASON_LENGTH,
  MAX_NODE_ADDRESSES,
  MAX_TASK_ADDRESSES,
} from "./limits.ts";
export type { Change, Overwritten } from "./overwritten.ts";
export { taskKey } from "./record-codec.ts";
export type * from "./records.ts";
export type { UnreadableRecord } from "./replica.ts";
export type { CatalogState } from "./snapshot.ts";
export type { CatalogWriter, Declaration } from "./transaction.ts";
export type { VisibleTask } from "./visible.ts";
