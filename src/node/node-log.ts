/** The words for what happens in a node: one method per event, one line per event. */
import { countProblems, formatProblem } from "../config/index.ts";
import {
  collapseListeners,
  type ListenerRange,
  type ListenerReport,
  type ProxyOptions,
  rangesOf,
} from "../proxy/index.ts";
import type { RoutingWarning } from "./build-routing.ts";
import { type EventSink, NO_EVENTS } from "./events/events.ts";
import type { PartName } from "./facts/reconcile.ts";
import type { ForwardingLoop } from "./forwarding/forwarding-loops.ts";
import type { HealthLog } from "./health/task-checks.ts";
import type { Log } from "./log.ts";
import type { ClosedPorts } from "./reach-report.ts";
import { type ReloadReport, summarizeChanges } from "./reload-report.ts";
import type { NameStatus } from "./resolver.ts";

type Shortage = Parameters<NonNullable<ProxyOptions["onShortage"]>>[0];

const RAISE_LIMIT = "raise the limit (LimitNOFILE= in the systemd unit, ulimit -n in a shell)";
const WIDEN_RANGE =
  "widen net.ipv4.ip_local_port_range, or end UDP sessions sooner (udp.responses, udp.idle_timeout)";

/** Of one change. */
const MAX_LOOPS_TOLD = 10;
const MAX_RANGES_TOLD = 20;
const MAX_PROBLEM_LINES = 10;

/** A range of thousands of ports may close in pieces. */
const MAX_RANGES_NAMED = 8;

interface Serving {
  readonly file: string;
  readonly socket: string;
  readonly services: number;
  readonly version: string;
}

/** What a part of a pass updates. */
const PARTS: Readonly<Record<PartName, string>> = {
  members: "this node's address, keys or seeds in its cluster",
  records: "what this node announces to the cluster",
  health: "the health of this node's tasks",
  push: "the other nodes",
  overlay: "the overlay",
  store: "the state file",
  tables: "the routing table, the running one stays",
  ports: "the ports that could not be bound",
  events: "the list of events",
};

export class NodeLog {
  readonly #log: Log;
  readonly #events: EventSink;

  constructor(log: Log, events: EventSink = NO_EVENTS) {
    this.#log = log;
    this.#events = events;
  }

  /** Neighbouring ports in one line. An error is a whole sentence with the place and, where one is known, the fix. */
  listeners(reports: readonly ListenerReport[]): void {
    const ranges = rangesOf(reports);
    for (const range of ranges.slice(0, MAX_RANGES_TOLD)) this.#listener(range);
    const hidden = ranges.length - MAX_RANGES_TOLD;
    if (hidden > 0)
      this.#log.warn(`${hidden} more port ranges were opened or failed to open: see \`portmesh status\``);
  }

  #listener({ first, lastPort, error }: ListenerRange<ListenerReport>): void {
    const fields = { ...first, error, ...(lastPort !== first.port && { lastPort }) };
    const { service, protocol, address, port } = first;
    const range = lastPort === port ? String(port) : `${port}-${lastPort}`;
    if (error !== null) {
      this.#events.record({ kind: "bind-error", message: error, service, port: `${range}/${protocol}` });
      return this.#log.error(fields, error);
    }
    const ports = lastPort === port ? `port ${port}` : `ports ${range}`;
    this.#log.info(fields, `now listening on ${protocol} ${address} ${ports}`);
  }

  /** One line for each service, and one for the process. */
  shortage({ services, exhausted, waitingWorkers, fileLimit }: Shortage): void {
    for (const { service, reason, count } of services) {
      const why =
        reason === "out-of-ports"
          ? `no local port was free for connections to its tasks; ${WIDEN_RANGE}`
          : `its share of ${fileLimit} file descriptors is used up; ${RAISE_LIMIT}`;
      this.#log.warn(
        { service, reason, count },
        `service "${service}": ${count} of its connections or UDP sessions were closed or refused: ${why}`,
      );
    }
    if (exhausted > 0)
      this.#log.error({ exhausted, fileLimit }, `out of file descriptors ${exhausted} times; ${RAISE_LIMIT}`);
    if (waitingWorkers > 0)
      this.#log.warn(
        { waitingWorkers, fileLimit },
        `new connections are waiting for file descriptors; ${RAISE_LIMIT}`,
      );
  }

  /** Another process starts as this node. */
  madeWay(openConnections: number): void {
    const what = openConnections === 1 ? "1 connection ends" : `${openConnections} connections end`;
    this.#log.info(
      { openConnections },
      `ports, admin socket and state are free for the waiting process; ${what} here`,
    );
  }

  portsClosed({ service, ports }: ClosedPorts): void {
    const shown = firstOf(ports);
    this.#log.warn(
      { service, ports: shown },
      `service "${service}": ${shown.join(", ")} closed: no reachable task`,
    );
  }

  /** Or they are no longer published. */
  portsOpened({ service, ports }: ClosedPorts): void {
    const shown = firstOf(ports);
    this.#log.info({ service, ports: shown }, `service "${service}": ${shown.join(", ")} no longer closed`);
  }

  health({ service, task, health }: Parameters<HealthLog["health"]>[0]): void {
    const { state, reason } = health;
    const text = `service "${service}": task ${task} is ${state}: ${reason}`;
    const fields = { service, task, state, reason };
    if (state === "unhealthy") this.#log.warn(fields, text);
    else this.#log.info(fields, text);
    if (state !== "starting") this.#events.record({ kind: `task-${state}`, message: text, service, task });
  }

  panic(service: string, isPanicking: boolean): void {
    const message = isPanicking
      ? `service "${service}": no task is healthy: unhealthy ones get its clients`
      : `service "${service}": unhealthy tasks get no clients any more`;
    if (isPanicking) this.#log.error({ service }, message);
    else this.#log.info({ service }, message);
    this.#events.record({ kind: "panic", message, service });
  }

  name({ host, addresses, error }: NameStatus): void {
    if (error === null) {
      this.#log.info({ host, addresses }, `${host} is ${addresses.join(", ")}`);
      return;
    }
    const kept = addresses.length === 0 ? "its tasks get no traffic" : `${addresses.join(", ")} stays in use`;
    this.#log.warn({ host, addresses, error }, `cannot resolve ${host}: ${error}; ${kept}`);
  }

  warnings(warnings: readonly RoutingWarning[]): void {
    for (const { service, message } of warnings)
      this.#log.warn({ service }, `service "${service}": ${message}`);
  }

  /** Every loop there is now. */
  loops(loops: readonly ForwardingLoop[]): void {
    if (loops.length === 0) this.#log.info("no task loops back to its own published port any longer");
    for (const { service, task, node, path } of loops.slice(0, MAX_LOOPS_TOLD))
      this.#log.warn(
        { service, task, node, path },
        `not using task ${task} of service "${service}": it loops back to its own published port: ${path}`,
      );
    const hidden = loops.length - MAX_LOOPS_TOLD;
    if (hidden > 0)
      this.#log.warn(`${hidden} more tasks loop back to their own published ports: see \`portmesh status\``);
  }

  /** It is tried again. */
  reconcileFailed(part: PartName, error: unknown): void {
    this.#log.error({ err: error, part }, `cannot update ${PARTS[part]}; trying again`);
  }

  reload(report: ReloadReport): void {
    const { outcome, trigger, problems, changes } = report;
    this.fileWarnings(report.warnings);
    const summary = summarizeChanges(changes);
    if (outcome === "refused") {
      const total = countProblems(problems);
      const count = total === 1 ? "1 problem" : `${total} problems`;
      const first = problems[0] === undefined ? "" : `: ${formatProblem(problems[0])}`;
      this.#events.record({ kind: "reload-failed", message: `configuration refused, ${count}${first}` });
      this.#log.error({ trigger }, `configuration refused, nothing changed: ${count}`);
      for (const problem of problems.slice(0, MAX_PROBLEM_LINES)) this.#log.error(formatProblem(problem));
      const hidden = total - Math.min(problems.length, MAX_PROBLEM_LINES);
      if (hidden > 0) this.#log.error(`and ${hidden} more problems: \`portmesh check\` lists them`);
    } else if (outcome === "unchanged") {
      this.#log.info({ trigger }, `configuration unchanged${summary === "" ? "" : `: ${summary}`}`);
    } else {
      this.#log.info({ trigger, ...withRanges(changes) }, `configuration applied: ${summary}`);
      this.#events.record({ kind: "reload", message: `configuration applied: ${summary}` });
      this.#recordNewKeys(changes.settings);
    }
  }

  #recordNewKeys(settings: ReloadReport["changes"]["settings"]): void {
    const isApplied = settings.some(({ key, needsRestart }) => key === "cluster.keys" && !needsRestart);
    if (isApplied)
      this.#events.record({
        kind: "key-rotated",
        message: "the keys of the cluster have changed on this node",
      });
  }

  fileWarnings(warnings: readonly string[]): void {
    for (const warning of warnings) this.#log.warn(warning);
  }

  /** @param predecessor the process that this one has taken over from; null: there was none */
  serving(
    fields: Serving,
    predecessor: { readonly pid: number; readonly version: string } | null = null,
  ): void {
    const { version, services } = fields;
    const message =
      predecessor === null
        ? `started: version ${version}, process ${process.pid}`
        : `process ${process.pid}, version ${version}, took over from process ${predecessor.pid}, version ${predecessor.version}`;
    this.#events.record({ kind: predecessor === null ? "start" : "upgrade", message });
    this.#log.info(fields, `serving ${services} service${services === 1 ? "" : "s"}`);
  }

  draining(timeoutMs: number): void {
    this.#events.record({ kind: "stop", message: `stopping: process ${process.pid} drains` });
    this.#log.info({ timeoutMs }, "draining: no new connections, open ones may finish");
  }

  stopped(isDrained: boolean): void {
    if (isDrained) this.#log.info("stopped: all connections have ended");
    else this.#log.warn("stopped at once: open connections were reset");
  }
}

function withRanges(changes: ReloadReport["changes"]): ReloadReport["changes"] {
  const { listenersOpened, listenersClosed } = changes;
  return {
    ...changes,
    listenersOpened: collapseListeners(listenersOpened),
    listenersClosed: collapseListeners(listenersClosed),
  };
}

function firstOf(ranges: readonly string[]): readonly string[] {
  const more = ranges.length - MAX_RANGES_NAMED;
  return more <= 0 ? ranges : [...ranges.slice(0, MAX_RANGES_NAMED), `and ${more} more`];
}
