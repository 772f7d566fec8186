/**
 * The file -> the running node: read and validate all of it, compare, prepare, commit. Any error: nothing changes.
 *
 * `running` is what the node really does. Settings that need a restart keep their running value in it, so every
 * later comparison goes on naming them until the node has been restarted.
 */
import {
  type Config,
  type ConfigChanges,
  type ConfigCheck,
  compareConfigs,
  type FileResult,
  type Problem,
  type ReportProblem,
} from "../config/index.ts";
import type { Clock } from "../sys/clock.ts";
import type { Unpublished } from "./cluster/cluster.ts";
import { reportObjections, reportUnlistened } from "./config-check.ts";
import type { DifferingService, KeptService } from "./listings.ts";
import { NO_CHANGES, type ReloadReport, type ReloadTrigger } from "./reload-report.ts";
import type { RoutingInput } from "./routing-input.ts";
import { SerialQueue } from "./serial-queue.ts";
import type { Applied, TableUpdates, Turn } from "./table-updates.ts";

const NEW_NAMES_MS = 2_000; // a service must not lose its tasks to a reload that overtakes the resolver

export interface ReloaderParts {
  readonly file: string;
  readonly read: (file: string, check: ConfigCheck) => FileResult | Promise<FileResult>;
  readonly tables: TableUpdates;
  /** What would be served with this file. */
  readonly inputWith: (config: Config) => RoutingInput;
  /** Those of the removed services that are declared elsewhere. */
  readonly keptWith: (config: Config, removed: readonly string[]) => readonly KeptService[];
  /** Services that would be defined differently elsewhere. */
  readonly differingWith: (config: Config) => readonly DifferingService[];
  /** What other nodes would not learn of the file. */
  readonly unpublishedWith: (config: Config) => readonly Unpublished[];
  readonly clock: Clock;
  /** The new running configuration, right after it was committed. */
  readonly onApplied: (config: Config) => void;
  /** The file says what runs. */
  readonly onUnchanged: () => void;
}

type MakeReport = (rest: Partial<ReloadReport>) => ReloadReport;

export class Reloader {
  readonly #parts: ReloaderParts;
  /** What was saved later is applied later. */
  readonly #queue = new SerialQueue();
  #running: Config;
  #keysFile: string | null;
  #adminFiles: readonly string[];

  constructor(parts: ReloaderParts, running: Config) {
    this.#parts = parts;
    this.#running = running;
    this.#keysFile = running.cluster?.keysFile ?? null;
    this.#adminFiles = adminFilesOf(running);
  }

  /** The files that the configuration file named last, right or wrong. */
  get namedFiles(): readonly string[] {
    return this.#keysFile === null ? this.#adminFiles : [this.#keysFile, ...this.#adminFiles];
  }

  get running(): Config {
    return this.#running;
  }

  /** Never rejects: what goes wrong is in the report. */
  async reload(trigger: ReloadTrigger, isDryRun: boolean): Promise<ReloadReport> {
    const report: MakeReport = (rest) => ({
      outcome: "unchanged",
      isDryRun,
      trigger,
      at: this.#parts.clock.nowMs(),
      changes: NO_CHANGES,
      problems: [],
      warnings: [],
      variables: [],
      bindErrors: [],
      kept: [],
      differing: [],
      unpublished: [],
      ...rest,
    });
    try {
      return await this.#queue.run(() => this.#readAndReload(isDryRun, report));
    } catch (error) {
      return report({ outcome: "refused", problems: [asProblem(this.#parts.file, error)] });
    }
  }

  /** Reading a large file takes seconds, in which other changes go on. */
  async #readAndReload(isDryRun: boolean, report: MakeReport): Promise<ReloadReport> {
    const check: ConfigCheck = (config, report) => this.#check(config, report);
    const read = await this.#parts.read(this.#parts.file, check);
    if ("problems" in read) {
      this.#keysFile = read.keysFile ?? this.#keysFile;
      this.#adminFiles = read.adminFiles ?? this.#adminFiles;
      return report({ outcome: "refused", problems: read.problems });
    }
    this.#keysFile = read.config.cluster?.keysFile ?? null;
    this.#adminFiles = adminFilesOf(read.config);
    return await this.#parts.tables.change((turn) => this.#reload(read, turn, isDryRun, report));
  }

  async #reload(
    read: Extract<FileResult, { readonly config: Config }>,
    turn: Turn,
    isDryRun: boolean,
    report: MakeReport,
  ): Promise<ReloadReport> {
    const compared = compareConfigs(this.#running, read.config);
    const outcome = appliesSomething(compared) ? "applied" : "unchanged";
    const next = withRunningSettings(read.config, this.#running, compared);
    const applied = outcome === "applied" ? await this.#carryOut(turn, next, isDryRun) : NOTHING;
    if (outcome === "unchanged" && !isDryRun) this.#parts.onUnchanged();
    const { warnings = [], variables = [] } = read;
    return report({
      outcome,
      changes: changesOf(compared, applied),
      warnings,
      variables,
      bindErrors: applied.bindErrors,
      kept: this.#parts.keptWith(next, compared.services.removed),
      differing: this.#parts.differingWith(next),
      unpublished: this.#parts.unpublishedWith(next),
    });
  }

  #check(config: Config, report: ReportProblem): void {
    const compared = compareConfigs(this.#running, config);
    if (!appliesSomething(compared)) return;
    const next = withRunningSettings(config, this.#running, compared);
    reportUnlistened(next, report);
    reportObjections(this.#parts.tables.objectionsTo(this.#parts.inputWith(next)), config, report);
  }

  async #carryOut(turn: Turn, next: Config, isDryRun: boolean): Promise<Applied> {
    const input = this.#parts.inputWith(next);
    if (isDryRun) return { changes: turn.preview(input), bindErrors: [] };
    const applied = await turn.apply(input, NEW_NAMES_MS);
    this.#running = next;
    this.#parts.onApplied(next);
    return applied;
  }
}

function adminFilesOf({ admin: { http } }: Config): string[] {
  if (http === null) return [];
  return [http.tokensFile, http.tls?.certFile ?? null, http.tls?.keyFile ?? null].filter(
    (path) => path !== null,
  );
}

const NOTHING: Applied = { changes: { listenersOpened: [], listenersClosed: [] }, bindErrors: [] };

function appliesSomething({ services, settings }: ConfigChanges): boolean {
  const changedServices = services.added.length + services.removed.length + services.changed.length;
  return changedServices > 0 || settings.some((setting) => !setting.needsRestart);
}

function withRunningSettings(next: Config, running: Config, { settings }: ConfigChanges): Config {
  const waiting = new Set(settings.filter((setting) => setting.needsRestart).map((setting) => setting.key));
  const keep = <Section extends "node" | "overlay" | "proxy" | "admin" | "log">(
    name: Section,
  ): Config[Section] => {
    const kept = Object.entries(running[name]).filter(([key]) => waiting.has(`${name}.${key}`));
    return { ...next[name], ...Object.fromEntries(kept) };
  };
  const { dataDir, ...node } = keep("node");
  return {
    ...next,
    node: { ...node, dataDir: waiting.has("node.data_dir") ? running.node.dataDir : dataDir },
    cluster: clusterWithRunning(next.cluster, running.cluster),
    overlay: keep("overlay"),
    proxy: keep("proxy"),
    admin: keep("admin"),
    log: keep("log"),
  };
}

/** Only keys and seeds change in a running node. */
function clusterWithRunning(next: Config["cluster"], running: Config["cluster"]): Config["cluster"] {
  if (next === null || running === null) return running;
  return { ...running, keys: next.keys, keysFile: next.keysFile, join: next.join };
}

function changesOf({ services, settings }: ConfigChanges, { changes }: Applied): ReloadReport["changes"] {
  return { services, settings, ...changes };
}

function asProblem(file: string, error: unknown): Problem {
  const reason = error instanceof Error ? error.message : String(error);
  return { file, line: 0, column: 0, key: "", value: undefined, message: `cannot be applied: ${reason}` };
}
