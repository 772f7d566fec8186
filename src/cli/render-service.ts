/** One service of a status: its ports, what is wrong with them, its traffic and its tasks. */
import type { NodeStatus } from "../node/index.ts";
import { formatAge, formatBytes } from "./format.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

type ServiceStatus = NodeStatus["proxy"]["services"][number];
type PortStatus = ServiceStatus["ports"][number];
type TaskStatus = ServiceStatus["tasks"][number];

const INDENT = "  ";
const MAX_LISTENER_ERRORS = 5; // a thousand ports usually fail for one reason
const TASK_COLUMNS: readonly Column[] = [
  { title: "TASK" },
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
    ...status.warnings
      .filter((warning) => warning.service === service.name)
      .flatMap((warning) => renderNote("WARNING ", warning.message, INDENT)),
    ...renderTraffic(service),
    ...renderTasks(service, status),
    ...renderRefused(service.refusedTotal),
  ];
}

/** Neighbours become ranges: "30000-30009:30000-30009/tcp". */
function collapsePorts(ports: readonly PortStatus[]): string[] {
  const ranges: { first: PortStatus; count: number }[] = [];
  for (const port of ports) {
    const last = ranges.at(-1);
    const continues =
      last !== undefined &&
      last.first.protocol === port.protocol &&
      last.first.published + last.count === port.published &&
      last.first.target + last.count === port.target;
    if (continues) last.count++;
    else ranges.push({ first: port, count: 1 });
  }
  return ranges.map(({ first, count }) => {
    const range = (port: number) => (count === 1 ? String(port) : `${port}-${port + count - 1}`);
    return `${range(first.published)}:${range(first.target)}/${first.protocol}`;
  });
}

function renderListenerErrors(ports: readonly PortStatus[]): string[] {
  const errors = ports.flatMap(({ listeners }) => listeners.flatMap(({ error }) => error ?? []));
  const hidden = errors.length - MAX_LISTENER_ERRORS;
  return [
    ...errors.slice(0, MAX_LISTENER_ERRORS).flatMap((error) => renderNote("ERROR ", error, INDENT)),
    ...(hidden > 0 ? [`${INDENT}ERROR ${hidden} more listeners: see --json`] : []),
  ];
}

function renderTraffic({ ports, tcp, udp }: ServiceStatus): string[] {
  const uses = (protocol: string) => ports.some((port) => port.protocol === protocol);
  const rows: string[] = [];
  if (uses("tcp")) {
    const bytes = `in ${formatBytes(tcp.bytesInTotal)}, out ${formatBytes(tcp.bytesOutTotal)}`;
    rows.push(`tcp  ${tcp.openConnections} open, ${tcp.acceptedTotal} accepted, ${bytes}`);
  }
  if (uses("udp")) {
    const bytesIn = `in ${udp.datagramsInTotal} datagrams ${formatBytes(udp.bytesInTotal)}`;
    const bytesOut = `out ${udp.datagramsOutTotal} datagrams ${formatBytes(udp.bytesOutTotal)}`;
    rows.push(`udp  ${udp.openSessions} open, ${udp.sessionsTotal} sessions, ${bytesIn}, ${bytesOut}`);
  }
  return rows.map((row) => INDENT + row);
}

function renderTasks(service: ServiceStatus, status: NodeStatus): string[] {
  const unresolved = status.names.filter(
    (name) => name.error !== null && name.services.includes(service.name),
  );
  const rows = [
    ...service.tasks.map((task) => taskRow(task, status.now)),
    ...unresolved.map((name) => unresolvedRow(name, status.now)),
  ];
  if (rows.length === 0) return [`${INDENT}NO TASKS: every client is refused`];
  return renderTable(TASK_COLUMNS, rows, INDENT);
}

function taskRow(task: TaskStatus, now: number): string[] {
  return [
    describeTask(task),
    task.state,
    String(task.weight),
    String(task.openConnections),
    String(task.connectionsTotal),
    String(task.connectFailuresTotal),
    task.lastError === null ? "-" : `${task.lastError.message} (${formatAge(now - task.lastError.at)} ago)`,
  ];
}

function unresolvedRow(
  { host, error, failingSince, addresses }: NodeStatus["names"][number],
  now: number,
): string[] {
  const age = failingSince === null ? "" : ` for ${formatAge(now - failingSince)}`;
  const kept = addresses.length === 0 ? "" : "; the last answer stays in use";
  return [host, "unresolved", "", "", "", "", `${error}${age}${kept}`];
}

/** As the operator wrote it; a name with the address it stands for. */
function describeTask({ name, address }: TaskStatus): string {
  return name.includes(address) ? name : `${name} (${address})`;
}

function renderRefused(refused: ServiceStatus["refusedTotal"]): string[] {
  const reasons = Object.entries(refused).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return [];
  const text = reasons.map(([reason, count]) => `${count} ${reason}`).join(", ");
  return renderNote("refused, dropped: ", text, INDENT);
}
