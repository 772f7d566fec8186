/** What came of a reload: the answer to `portmesh reload`, kept for `portmesh status`. Plain values. */
import type { ConfigChanges, Problem } from "../config/index.ts";
import type { Unpublished } from "./cluster/cluster.ts";
import type { DifferingService, KeptService } from "./listings.ts";
import type { Applied } from "./table-updates.ts";

/** `refused`: nothing changed, `problems` says why. `unchanged`: the file says what already runs. */
export type ReloadOutcome = "applied" | "unchanged" | "refused";
export type ReloadTrigger = "start" | "command" | "signal" | "file";

export interface ReloadReport {
  readonly outcome: ReloadOutcome;
  /** Nothing was changed; the rest is what a reload would do. */
  readonly isDryRun: boolean;
  readonly trigger: ReloadTrigger;
  /** ms since 1970 */
  readonly at: number;
  readonly changes: ReloadChanges;
  readonly problems: readonly Problem[];
  /** What of the file should be repaired, but did not stop the reload. */
  readonly warnings: readonly string[];
  /** Environment variables in the file: their values are those of the start of the node. */
  readonly variables: readonly string[];
  /** Ports that could not be bound; they are retried and did not stop the reload. */
  readonly bindErrors: Applied["bindErrors"];
  /** Services that the file no longer declares, but other files or a command do: they stay. */
  readonly kept: readonly KeptService[];
  /** Services that other files, or a command, define differently. */
  readonly differing: readonly DifferingService[];
  /** What the cluster refuses of the file, and only this node serves. */
  readonly unpublished: readonly Unpublished[];
}

export interface ReloadChanges extends Omit<ConfigChanges, "isEmpty"> {
  /** "tcp 0.0.0.0:8080" */
  readonly listenersOpened: readonly string[];
  readonly listenersClosed: readonly string[];
}

export const NO_CHANGES: ReloadChanges = {
  services: { added: [], removed: [], changed: [] },
  settings: [],
  listenersOpened: [],
  listenersClosed: [],
};

/** "1 service added, 2 changed, 1 listener opened, 1 setting waits for a restart"; "" without changes. */
export function summarizeChanges({ services, settings, ...changes }: ReloadChanges): string {
  const waiting = settings.filter((setting) => setting.needsRestart).length;
  return [
    count(services.added.length, "service", "added"),
    count(services.changed.length, "service", "changed"),
    count(services.removed.length, "service", "removed"),
    count(changes.listenersOpened.length, "listener", "opened"),
    count(changes.listenersClosed.length, "listener", "closed"),
    count(settings.length - waiting, "setting", "changed"),
    count(waiting, "setting", waiting === 1 ? "waits for a restart" : "wait for a restart"),
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function count(number: number, noun: string, verb: string): string {
  return number === 0 ? "" : `${number} ${noun}${number === 1 ? "" : "s"} ${verb}`;
}
