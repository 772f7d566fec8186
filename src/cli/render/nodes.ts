/** The nodes of the cluster as a table, what they cannot open below it; and the cluster as `status` shows it. */
import type { NodeInfo } from "../../admin/index.ts";
import type { ClusterStatus } from "../../node/index.ts";
import { formatCount, formatCounts } from "./format.ts";
import { renderConflicts } from "./services.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

const MAX_BIND_ERRORS = 5; // of one node: a thousand ports usually fail for one reason
const COLUMNS: readonly Column[] = [
  { title: "NODE" },
  { title: "STATE" },
  { title: "ADDRESS" },
  { title: "RELAY" },
  { title: "TASKS", isNumber: true },
  { title: "RTT", isNumber: true },
  { title: "VERSION" },
  { title: "LABELS" },
];

/** Ends with a line end. `*` is the node that was asked. */
export function renderNodes(nodes: readonly NodeInfo[]): string {
  return `${nodeLines(nodes, "").join("\n")}\n`;
}

export function renderCluster(cluster: ClusterStatus): string[] {
  const { services, tasks, revision } = cluster.catalog;
  const alive = cluster.members.filter((node) => node.state === "alive").length;
  return [
    `cluster ${cluster.name}  ${alive}/${cluster.members.length} nodes alive, ` +
      `${formatCount(services, "service")}, ${formatCount(tasks, "task")}, revision ${revision}`,
    ...nodeLines(cluster.members, "  "),
    ...renderConflicts(cluster.conflicts, "  "),
    ...renderGossip(cluster.gossip),
  ];
}

function nodeLines(nodes: readonly NodeInfo[], indent: string): string[] {
  return [
    ...renderTable(COLUMNS, nodes.map(nodeRow), indent),
    ...nodes.flatMap((node) => renderBindErrors(node, indent)),
  ];
}

function nodeRow(node: NodeInfo): string[] {
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  return [
    node.isSelf ? `${node.name} *` : node.name,
    node.isDraining ? `${node.state}, draining` : node.state,
    node.address ?? "-",
    node.relay ?? "-",
    String(node.tasks),
    node.rttMs === null ? "-" : `${node.rttMs.toFixed(1)}ms`,
    node.version ?? "-",
    labels.length === 0 ? "-" : labels.join(" "),
  ];
}

function renderBindErrors({ name, bindErrors }: NodeInfo, indent: string): string[] {
  const hidden = bindErrors.length - MAX_BIND_ERRORS;
  return [
    ...bindErrors
      .slice(0, MAX_BIND_ERRORS)
      .flatMap(({ service, error }) => renderNote("ERROR ", `${name}: ${service}: ${error}`, indent)),
    ...(hidden > 0 ? [`${indent}ERROR ${name}: ${hidden} more listeners: see --json`] : []),
  ];
}

/** Silent while all is well. */
function renderGossip({ healthScore, queueLengths, droppedTotal }: ClusterStatus["gossip"]): string[] {
  const [waiting, dropped] = [formatCounts(queueLengths), formatCounts(droppedTotal)];
  const slow = `health score ${healthScore}: this node is slow or has network trouble, so it waits longer before it suspects other nodes`;
  return [
    ...(healthScore === 0 ? [] : renderNote("WARNING ", slow, "  ")),
    ...(waiting === "" ? [] : renderNote("gossip waiting: ", waiting, "  ")),
    ...(dropped === "" ? [] : renderNote("gossip dropped: ", dropped, "  ")),
  ];
}
