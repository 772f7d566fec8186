/** The status of a node as a person reads it at 3 a.m.: what is wrong comes first and in words, numbers line up. */
import { countProblems, formatProblem } from "../../config/index.ts";
import type { NodeStatus, ReloadReport } from "../../node/index.ts";
import { formatBuildInfo } from "../build-info.ts";
import { describeUnpublished, formatAge, formatCount, formatTime } from "./format.ts";
import { renderCluster } from "./nodes.ts";
import { renderOverlay } from "./overlay.ts";
import { renderService } from "./service.ts";
import { renderNote } from "./table.ts";

const MAX_PROBLEMS = 10; // the rest is in `portmesh check`

/** Ends with a line end. */
export function renderStatus(status: NodeStatus): string {
  const services = status.proxy.services.flatMap((service) => ["", ...renderService(service, status)]);
  const none = status.proxy.services.length === 0 ? ["", "no services: add [[services]] to the file"] : [];
  const cluster = status.cluster === null ? [] : ["", ...renderCluster(status.cluster)];
  const overlay = status.overlay === null ? [] : ["", ...renderOverlay(status.overlay)];
  const head = [...renderHead(status), ...renderWarnings(status)];
  return `${[...head, ...cluster, ...overlay, ...services, ...none].join("\n")}\n`;
}

type PredecessorStatus = NonNullable<NodeStatus["predecessor"]>;

function renderHead(status: NodeStatus): string[] {
  const { config, now } = status;
  const uptime = formatAge(now - status.startedAt);
  const workers = formatCount(status.proxy.workers, "worker");
  const build = formatBuildInfo(status.version);
  return [
    `${status.node}  ${status.state}  portmesh ${build}  up ${uptime}  pid ${status.pid}  ${workers}`,
    ...(status.predecessors ?? []).map(renderPredecessor),
    `config  ${config.file}`,
    `        applied ${formatTime(config.appliedAt)}, ${formatAge(now - config.appliedAt)} ago`,
    ...(config.lastReload === null ? [] : renderLastReload(config.lastReload, now)),
  ];
}

function renderPredecessor({ pid, openConnections, leftMs }: PredecessorStatus): string {
  const left = `${Math.ceil(leftMs / 1_000)} s left`;
  return `predecessor pid ${pid}: ${formatCount(openConnections, "connection")}, ${left}`;
}

function renderLastReload(report: ReloadReport, now: number): string[] {
  const when = `${formatAge(now - report.at)} ago (${report.trigger})`;
  if (report.outcome !== "refused") return [`reload  ${report.outcome} ${when}`];
  const hidden = countProblems(report.problems) - MAX_PROBLEMS;
  return [
    `reload  REFUSED ${when}: the file is invalid; the previous configuration stays in use`,
    ...report.problems
      .slice(0, MAX_PROBLEMS)
      .flatMap((problem) => renderNote("", formatProblem(problem), "        ")),
    ...(hidden > 0 ? [`        and ${hidden} more: see \`portmesh check\``] : []),
  ];
}

function renderWarnings(status: NodeStatus): string[] {
  const { proxy, config, unpublished, addressProblem, storeError, logLoss } = status;
  const waiting = config.needsRestart.flatMap(({ key, before, after }) =>
    renderNote(
      "RESTART ",
      `${key}: ${JSON.stringify(before)} is in use, the file says ${JSON.stringify(after)}`,
      "",
    ),
  );
  return [
    ...(addressProblem === null ? [] : renderNote("WARNING ", addressProblem, "")),
    ...(status.admin?.error == null ? [] : renderNote("WARNING ", status.admin.error, "")),
    ...renderUnpublished(unpublished),
    ...renderStoreError(storeError),
    ...renderLogLoss(logLoss),
    ...renderStarving(proxy),
    ...waiting,
  ];
}

function renderUnpublished(unpublished: NodeStatus["unpublished"]): string[] {
  const hidden = unpublished.length - MAX_PROBLEMS;
  return [
    ...unpublished
      .slice(0, MAX_PROBLEMS)
      .flatMap(({ service, reason }) =>
        renderNote("WARNING ", `${describeUnpublished(service)}: ${reason}`, ""),
      ),
    ...(hidden > 0 ? [`        and ${hidden} more: see \`portmesh reload\``] : []),
  ];
}

function renderStoreError(error: string | null): string[] {
  if (error === null) return [];
  const text = `${error}: services and tasks created by command will not survive a restart (node.data_dir)`;
  return renderNote("WARNING ", text, "");
}

function renderLogLoss(loss: NodeStatus["logLoss"]): string[] {
  if (loss === null) return [];
  return renderNote("WARNING ", `${formatCount(loss.lines, "log line")} dropped: ${loss.reason}`, "");
}

function renderStarving(proxy: NodeStatus["proxy"]): string[] {
  const starving = proxy.workersOutOfDescriptors;
  if (starving === 0) return [];
  const text =
    `${starving} of ${formatCount(proxy.workers, "worker")} out of file descriptors, or a service's share of them is ` +
    "used up: new connections wait until others end; raise the limit (LimitNOFILE= in the systemd unit, ulimit -n in a shell)";
  return renderNote("WARNING ", text, "");
}
