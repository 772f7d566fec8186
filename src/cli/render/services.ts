/** Services and tasks of the whole cluster as tables. Lines end with a line end. */

import type { DefinitionInfo, PortConflict, ServiceInfo, TaskInfo } from "../../admin/index.ts";
import { type ClientLimits, describeCheck, formatDuration, formatRate } from "../../model/index.ts";
import { formatAge, formatCount, formatTime } from "./format.ts";
import { formatPorts } from "./ports.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

const SERVICE_COLUMNS: readonly Column[] = [
  { title: "NAME" },
  { title: "TASKS" },
  { title: "FROM" },
  { title: "PORTS" },
];
const TASK_COLUMNS: readonly Column[] = [
  { title: "TASK" },
  { title: "NODE" },
  { title: "STATE" },
  { title: "WEIGHT", isNumber: true },
  { title: "FROM" },
];
const SINCE_COLUMN: Column = { title: "SINCE" };
const ERROR_COLUMN: Column = { title: "ERROR" };

export function renderServices(services: readonly ServiceInfo[]): string {
  if (services.length === 0)
    return "no services: create one with `portmesh service create`, or in the file\n";
  const rows = services.map((service) => [
    service.name,
    countActive(service.tasks),
    service.origin,
    formatPorts(service.spec.publish).join("  "),
  ]);
  const conflicts = services.flatMap((service) => renderConflicts(service.conflicts));
  return lines([...renderTable(SERVICE_COLUMNS, rows, ""), ...conflicts]);
}

/** Of several services: one table, the service in front of the task. */
export function renderTasks(services: readonly ServiceInfo[], nowMs: number): string {
  const isAlone = services.length === 1;
  const isChecked = services.some(({ tasks }) => tasks.some(hasHealth));
  const columns = [...(isAlone ? [] : [{ title: "SERVICE" }]), ...taskColumns(isChecked)];
  const rows = services.flatMap((service) =>
    service.tasks.map((task) => [...(isAlone ? [] : [service.name]), ...taskRow(task, isChecked, nowMs)]),
  );
  if (rows.length === 0) return "no tasks: add one with `portmesh task add`, every client is refused\n";
  return lines([
    ...services.flatMap((service) => renderPanic(service, "")),
    ...renderTable(columns, rows, ""),
  ]);
}

/** What `service inspect --pretty` shows. */
export function renderServiceDetails(service: ServiceInfo, nowMs: number): string {
  const { spec } = service;
  const facts: [string, string][] = [
    ["Origin", describeOrigin(service)],
    ["Created", `${formatTime(service.createdAtMs)}, ${formatAge(nowMs - service.createdAtMs)} ago`],
    ["Updated", `${formatTime(service.updatedAtMs)}, ${formatAge(nowMs - service.updatedAtMs)} ago`],
    ["Ports", formatPorts(spec.publish).join("  ")],
    ["Balance", `${spec.balance}, prefer ${spec.prefer}`],
    ["Clients", describeClients(spec)],
    ["Listens", describeListening(spec)],
    ["PROXY", describeProxy(spec)],
    ["Limits", describeLimits(spec)],
    ["Health", describeHealth(spec)],
  ];
  const isChecked = service.tasks.some(hasHealth);
  const tasks = service.tasks.map((task) => taskRow(task, isChecked, nowMs));
  return lines([
    service.name,
    ...facts.flatMap(([label, text]) => renderNote(label.padEnd(10), text, "  ")),
    ...renderDiffering(service.definitions.slice(1), "  "),
    ...renderConflicts(service.conflicts, "  "),
    ...renderPanic(service, "  "),
    ...service.overwritten.flatMap(({ node, atMs, byNode, byAtMs, differences }) =>
      renderNote(
        "OVERWRITTEN ",
        `the change on ${node} at ${formatTime(atMs)}, by the one on ${byNode} at ${formatTime(byAtMs)}: ` +
          differences.join("; "),
        "  ",
      ),
    ),
    ...(tasks.length === 0
      ? ["  NO TASKS: every client is refused"]
      : renderTable(taskColumns(isChecked), tasks, "  ")),
  ]);
}

/** @param others definitions that are not in force */
export function renderDiffering(others: readonly DefinitionInfo[], indent: string): string[] {
  return others.flatMap((other) =>
    other.differences.length === 0
      ? []
      : renderNote("DIFFERS ", `${placeOf(other)}: ${other.differences.join("; ")}`, indent),
  );
}

/** "n2:/etc/portmesh/portmesh.toml" */
export function placeOf({ node, file, isAlive }: DefinitionInfo): string {
  return `${file === null ? `command on ${node}` : `${node}:${file}`}${isAlive ? "" : " (node not alive)"}`;
}

export function renderConflicts(conflicts: readonly PortConflict[], indent = ""): string[] {
  return conflicts.flatMap(({ service, port, protocol, with: owner }) =>
    renderNote(
      "CONFLICT ",
      `${service} does not get ${port}/${protocol}: the older service ${owner} uses it; publish another port, ` +
        "bind the services to different addresses, or share the port by server names (sni)",
      indent,
    ),
  );
}

function describeOrigin({ origin, definitions }: ServiceInfo): string {
  if (origin === "api") return origin;
  const [inForce, ...others] = definitions;
  const more = others.length === 0 ? "" : `, and ${formatCount(others.length, "other place")}`;
  return `${placeOf(inForce!)}${more}`;
}

/** "2/3": ready for connections, of all. */
function countActive(tasks: readonly TaskInfo[]): string {
  return `${tasks.filter((task) => task.state === "active").length}/${tasks.length}`;
}

function hasHealth({ health }: TaskInfo): boolean {
  return health != null;
}

function taskColumns(isChecked: boolean): Column[] {
  return [...TASK_COLUMNS, ...(isChecked ? [SINCE_COLUMN] : []), ERROR_COLUMN];
}

function taskRow(task: TaskInfo, isChecked: boolean, nowMs: number): string[] {
  const { name, node, state, weight, origin, health, error, isBackup } = task;
  const since = health == null ? "-" : formatAge(Math.max(0, nowMs - health.since));
  return [
    ...[name, node, state, isBackup ? `${weight} backup` : String(weight), origin],
    ...(isChecked ? [since] : []),
    error ?? (health == null || health.state === "healthy" ? "-" : health.reason),
  ];
}

export function renderPanic(
  { name, isInPanic }: Pick<ServiceInfo, "name" | "isInPanic">,
  indent: string,
): string[] {
  if (!isInPanic) return [];
  return renderNote("PANIC ", `no task of ${name} is healthy: unhealthy ones get its clients`, indent);
}

function describeHealth({ check, panic, slowStartMs }: ServiceInfo["spec"]): string {
  if (check === null) return "not checked: a task gets clients before it is ready";
  return [
    `${describeCheck(check)} every ${formatDuration(check.intervalMs)}, timeout ${formatDuration(check.timeoutMs)}`,
    `rise ${check.rise}, fall ${check.fall}`,
    panic ? "unhealthy tasks are used when none is healthy" : "no clients when no task is healthy",
    ...(slowStartMs === 0 ? [] : [`slow start ${formatDuration(slowStartMs)}`]),
  ].join("; ");
}

function describeClients({ allow, deny }: ServiceInfo["spec"]): string {
  const denied = deny.length === 0 ? "" : `, but not from ${deny.join(", ")}`;
  return `from ${allow.length === 0 ? "nowhere" : allow.join(", ")}${denied}`;
}

function describeListening({ bind, nodes }: ServiceInfo["spec"]): string {
  const labels = Object.entries(nodes).map(([key, value]) => `${key}=${value}`);
  const where = labels.length === 0 ? "every node" : `nodes with ${labels.join(", ")}`;
  return `on ${where}, ${bind === null ? "as proxy.bind of the node says" : bind.join(", ")}`;
}

function describeProxy({ sendProxy, acceptProxy }: ServiceInfo["spec"]): string {
  const accepted = acceptProxy.length === 0 ? "from no client" : `from ${acceptProxy.join(", ")}`;
  return `sent to tasks: ${sendProxy}; expected ${accepted}`;
}

function describeLimits(spec: ServiceInfo["spec"]): string {
  const { maxConnections, idleTimeoutMs, drainTimeoutMs, perClient, udp } = spec;
  return [
    maxConnections === 0 ? "any number of connections" : `${maxConnections} connections`,
    ...(perClient === undefined ? [] : [describeClientLimits(perClient)]),
    idleTimeoutMs === 0 ? "never idle out" : `idle ${formatDuration(idleTimeoutMs)}`,
    `drain ${formatDuration(drainTimeoutMs)}`,
    `udp ${udp.mode}, idle ${formatDuration(udp.idleTimeoutMs)}, ${udp.maxSessions} sessions${describeResponses(udp.responses)}`,
  ].join("; ");
}

/** "a client (/32, /64) 10 connections, 20/s" */
function describeClientLimits({ maxConnections, maxSessions, rate, prefix }: ClientLimits): string {
  const limits = [
    ...(maxConnections === 0 ? [] : [`${maxConnections} connections`]),
    ...(maxSessions === 0 ? [] : [`${maxSessions} sessions`]),
    ...(rate === null ? [] : [formatRate(rate)]),
  ];
  return `a client (/${prefix.ipv4}, /${prefix.ipv6}) ${limits.join(", ")}`;
}

function describeResponses(count: number): string {
  if (count === 0) return "";
  return count === 1 ? ", over after the answer" : `, over after ${count} answers`;
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
