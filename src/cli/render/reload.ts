/** A reload report as a person reads it: the verdict first, then one line per change. */
import { countProblems, formatProblem } from "../../config/index.ts";
import type { ReloadReport } from "../../node/index.ts";
import { summarizeChanges } from "../../node/reload-report.ts";
import { collapseListeners, rangesOf } from "../../proxy/index.ts";
import { describeUnpublished, formatCount } from "./format.ts";
import { placeOf } from "./services.ts";

/** Ends with a line end. */
export function renderReload(report: ReloadReport): string {
  return `${[verdict(report), ...details(report)].join("\n")}\n`;
}

function verdict({ outcome, isDryRun, problems, changes }: ReloadReport): string {
  const summary = summarizeChanges(changes);
  if (outcome === "refused") {
    const consequence = isDryRun ? "it would be refused" : "nothing changed";
    return `the configuration is invalid, ${consequence}: ${formatCount(countProblems(problems), "problem")}`;
  }
  if (outcome === "unchanged") return summary === "" ? "no change" : `no change now: ${summary}`;
  return isDryRun ? `would change: ${summary}` : `applied: ${summary}`;
}

function details({
  changes,
  problems,
  warnings,
  variables = [],
  bindErrors,
  differing,
  unpublished,
  kept,
}: ReloadReport): string[] {
  const { services, settings, listenersOpened, listenersClosed } = changes;
  return [
    ...problems.map((problem) => `  ${formatProblem(problem)}`),
    ...services.added.map((name) => `  + service ${name}`),
    ...services.changed.flatMap(({ name, changes }) =>
      changes.map((change) => `  ~ service ${name}: ${change}`),
    ),
    ...services.removed.map((name) => `  - service ${name}`),
    ...collapseListeners(listenersOpened).map((listener) => `  + listener ${listener}`),
    ...collapseListeners(listenersClosed).map((listener) => `  - listener ${listener}`),
    ...settings.map(describeSetting),
    ...warnings.map((warning) => `  ! ${warning}`),
    ...(variables.length === 0
      ? []
      : [`  environment variables keep their values until a restart: ${variables.join(", ")}`]),
    ...unpublished.map(({ service, reason }) => `  ! ${describeUnpublished(service)}: ${reason}`),
    ...rangesOf(bindErrors).map(({ error }) => `  ! ${error}`),
    ...kept.map(
      ({ service, definitions }) =>
        `  ! service ${service} stays in use: it is also defined by ${definitions.map(placeOf).join(", ")}`,
    ),
    ...differing.flatMap(({ service, inForce, others }) => [
      `  ! service ${service} is defined differently elsewhere; in force: ${placeOf(inForce)}`,
      ...others.map((other) => `      ${placeOf(other)}: ${other.differences.join("; ")}`),
    ]),
  ];
}

function describeSetting({
  key,
  before,
  after,
  needsRestart,
}: ReloadReport["changes"]["settings"][number]): string {
  const change = `${key} ${show(before)} -> ${show(after)}`;
  return needsRestart ? `  ! ${change}: needs a restart, ${show(before)} stays in use` : `  ~ ${change}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
