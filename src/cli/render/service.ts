/** One service of a status: its ports, what is wrong with them, its traffic and its tasks. */
import { formatServerNames } from "../../model/index.ts";
import type { NodeStatus } from "../../node/index.ts";
import { rangesOf } from "../../proxy/index.ts";
import { formatAge, formatBytes } from "./format.ts";
import { placeOf, renderDiffering, renderPanic } from "./services.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

type ServiceStatus = NodeStatus["proxy"]["services"][number];
type PortStatus = ServiceStatus["ports"][number];
type TaskStatus = ServiceStatus["tasks"][number];
type TaskHealth = NodeStatus["health"][number];

const INDENT = "  ";
const MAX_LISTENER_ERRORS = 5; // a thousand ports usually fail for one reason
const TASK_COLUMN: Column = { title: "TASK" };
const NODE_COLUMN: Column = { title: "NODE" };
const FIGURE_COLUMNS: readonly Column[] = [
  { title: "STATE" },
  { title: "WEIGHT", isNumber: true },
  { title: "OPEN", isNumber: true },
  { title: "TOTAL", isNumber: true },
  { title: "FAILED", isNumber: true },
  { title: "LAST ERROR" },
];

export function renderService(service: ServiceStatus, status: NodeStatus): string[] {
  return [
    ...renderNote(`${service.name}  `, collapsePorts(service.ports).join("  "), ""),
    ...renderListenerErrors(service.ports),
    ...renderLeftToTasks(service.ports),
    ...renderClosed(service.ports),
    ...status.warnings
      .filter((warning) => warning.service === service.name)
      .flatMap((warning) => renderNote("WARNING ", warning.message, INDENT)),
    ...status.differing
      .filter((differing) => differing.service === service.name)
      .flatMap(({ inForce, others }) => [
        ...renderNote("IN FORCE ", placeOf(inForce), INDENT),
        ...renderDiffering(others, INDENT),
      ]),
    ...renderPanic({ name: service.name, isInPanic: status.inPanic.includes(service.name) }, INDENT),
    ...renderTraffic(service),
    ...renderTasks(service, status),
    ...renderRefused(service.refusedTotal),
    ...renderTopClients(service.topClients ?? []),
    ...renderSourcePorts(service.refusedTotal, status.proxy.sourcePorts),
  ];
}

/** Neighbours become ranges: "30000-30009:30000-30009/tcp". */
function collapsePorts(ports: readonly PortStatus[]): string[] {
  return portRanges(ports).map(
    ({ first, count }) =>
      `${showRange(first.published, count)}:${showRange(first.target, count)}/${first.protocol}${formatServerNames(first)}`,
  );
}

/** "30000-30009/tcp" */
function publishedRanges(ports: readonly PortStatus[]): string[] {
  return portRanges(ports).map(
    ({ first, count }) => `${showRange(first.published, count)}/${first.protocol}`,
  );
}

function showRange(first: number, count: number): string {
  return count === 1 ? String(first) : `${first}-${first + count - 1}`;
}

interface Range {
  readonly first: PortStatus;
  count: number;
}

function portRanges(ports: readonly PortStatus[]): Range[] {
  const ranges: Range[] = [];
  for (const port of ports) {
    const last = ranges.at(-1);
    const continues =
      last !== undefined &&
      last.first.protocol === port.protocol &&
      formatServerNames(last.first) === formatServerNames(port) &&
      last.first.published + last.count === port.published &&
      last.first.target + last.count === port.target;
    if (continues) last.count++;
    else ranges.push({ first: port, count: 1 });
  }
  return ranges;
}

function renderListenerErrors(ports: readonly PortStatus[]): string[] {
  const failed = ports.flatMap(({ protocol, published: port, listeners }) =>
    listeners.flatMap(({ address, error }) =>
      error === null ? [] : [{ service: "", protocol, address, port, error }],
    ),
  );
  const errors = rangesOf(failed).flatMap(({ error }) => error ?? []);
  const hidden = errors.length - MAX_LISTENER_ERRORS;
  return [
    ...errors.slice(0, MAX_LISTENER_ERRORS).flatMap((error) => renderNote("ERROR ", error, INDENT)),
    ...(hidden > 0 ? [`${INDENT}ERROR ${hidden} more listeners: see --json`] : []),
  ];
}

/** Neighbouring ports whose addresses are left to the same tasks share a line. */
function renderLeftToTasks(ports: readonly PortStatus[]): string[] {
  const left = ports.filter(({ leftToTasks = [] }) => leftToTasks.length > 0);
  const byTasks = Map.groupBy(left, ({ leftToTasks }) => JSON.stringify(leftToTasks));
  return [...byTasks.values()].flatMap((group) =>
    (group[0]!.leftToTasks ?? []).flatMap(({ address, service, task }) =>
      renderNote(
        "not listening on ",
        `${address} for ${collapsePorts(group).join(" ")}: task ${task} of ${service} has this address and port`,
        INDENT,
      ),
    ),
  );
}

function renderClosed(ports: readonly PortStatus[]): string[] {
  const closed = publishedRanges(ports.filter(({ isClosed }) => isClosed === true));
  return closed.length === 0
    ? []
    : renderNote("WARNING ", `${closed.join(", ")} closed: no reachable task`, INDENT);
}

function renderTraffic({ ports, tcp, udp, relayedUdp }: ServiceStatus): string[] {
  const uses = (protocol: string) => ports.some((port) => port.protocol === protocol);
  const rows: string[] = [];
  if (uses("tcp")) {
    const relayed =
      tcp.relayedTotal === 0 ? "" : `, ${tcp.relayedTotal} for other nodes (${tcp.relayedOpen} open)`;
    const bytes = `in ${formatBytes(tcp.bytesInTotal)}, out ${formatBytes(tcp.bytesOutTotal)}`;
    rows.push(`tcp  ${tcp.openConnections} open, ${tcp.acceptedTotal} accepted${relayed}, ${bytes}`);
  }
  if (uses("udp")) {
    rows.push(`udp  ${udpTraffic(udp)}`);
    if (relayedUdp.sessionsTotal > 0) rows.push(`     for other nodes: ${udpTraffic(relayedUdp)}`);
  }
  return rows.map((row) => INDENT + row);
}

function udpTraffic(udp: ServiceStatus["udp"]): string {
  const bytesIn = `in ${udp.datagramsInTotal} datagrams ${formatBytes(udp.bytesInTotal)}`;
  const bytesOut = `out ${udp.datagramsOutTotal} datagrams ${formatBytes(udp.bytesOutTotal)}`;
  return `${udp.openSessions} open, ${udp.sessionsTotal} sessions, ${bytesIn}, ${bytesOut}`;
}

function renderTasks(service: ServiceStatus, status: NodeStatus): string[] {
  const unresolved = status.names.filter(
    (name) => (name.error !== null || name.answeredAt === null) && name.services.includes(service.name),
  );
  // a node that stands alone has no other whose task it could be
  const isAlone = status.cluster === null;
  const healths = new Map(
    status.health
      .filter((health) => health.service === service.name)
      .map((health) => [`${health.node} ${health.task}`, health]),
  );
  const healthOf = ({ name, node }: TaskStatus) => healths.get(`${node ?? status.node} ${name}`);
  const nodeCell = (node: string | null) => (isAlone ? [] : [node ?? status.node]);
  const rows = [
    ...service.tasks.map((task) => [
      describeTask(task),
      ...nodeCell(task.node),
      ...taskFigures(task, healthOf(task), status.now),
    ]),
    ...unresolved.map((name) => [name.host, ...nodeCell(null), ...unresolvedFigures(name, status.now)]),
  ];
  if (rows.length === 0) return [`${INDENT}NO TASKS: every client is refused`];
  const columns = [TASK_COLUMN, ...(isAlone ? [] : [NODE_COLUMN]), ...FIGURE_COLUMNS];
  return renderTable(columns, rows, INDENT);
}

function taskFigures(task: TaskStatus, health: TaskHealth | undefined, now: number): string[] {
  const isOut = health !== undefined && health.state !== "healthy";
  return [
    isOut && task.state !== "loop" ? health.state : task.state,
    `${task.weight}${task.isBackup === true ? " backup" : ""}`,
    String(task.openConnections),
    String(task.connectionsTotal),
    String(task.connectFailuresTotal),
    task.loop ??
      (isOut ? `${health.reason} (for ${formatAge(Math.max(0, now - health.since))})` : null) ??
      (task.lastError === null
        ? "-"
        : `${task.lastError.message} (${formatAge(now - task.lastError.at)} ago)`),
  ];
}

function unresolvedFigures(
  { error, failingSince, addresses, answeredAt }: NodeStatus["names"][number],
  now: number,
): string[] {
  const age = failingSince === null ? "" : ` for ${formatAge(now - failingSince)}`;
  const kept =
    addresses.length === 0 || answeredAt === null
      ? ""
      : `; the last result, ${formatAge(now - answeredAt)} old, stays in use`;
  return ["unresolved", "", "", "", "", `${error ?? "no answer yet"}${age}${kept}`];
}

/** As the operator wrote it; a name with the address it stands for. */
function describeTask({ name, address }: TaskStatus): string {
  return name.includes(address) ? name : `${name} (${address})`;
}

/** Why there was no port, once there was none. */
function renderSourcePorts(
  refused: ServiceStatus["refusedTotal"],
  { low, high, forSessions, leftToHost }: NodeStatus["proxy"]["sourcePorts"],
): string[] {
  if (refused["out-of-ports"] === undefined) return [];
  const text =
    `net.ipv4.ip_local_port_range is ${low}-${high}: ${forSessions} for UDP sessions with one task, ` +
    `${leftToHost} left to other programs`;
  return renderNote("source ports: ", text, INDENT);
}

/** Those that have been refused. */
function renderTopClients(clients: NonNullable<ServiceStatus["topClients"]>): string[] {
  const refused = clients.filter(({ refusedTotal }) => refusedTotal > 0);
  if (refused.length === 0) return [];
  const text = refused.map(
    ({ client, protocol, open, refusedTotal }) => `${client} ${protocol} ${refusedTotal} (${open} open)`,
  );
  return renderNote("refused most: ", text.join(", "), INDENT);
}

function renderRefused(refused: ServiceStatus["refusedTotal"]): string[] {
  const reasons = Object.entries(refused).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return [];
  const text = reasons.map(([reason, count]) => `${count} ${reason}`).join(", ");
  return renderNote("refused, dropped: ", text, INDENT);
}
