/**
 * The metrics of services and tasks: one row of each family for each of them, in the order of the routing table.
 *
 * Cardinality: the labels of a service are its name and one of few reasons or protocols, those of a task are the name of
 * its service, its own, its node and its address. Nothing of a client is a label.
 */
import { bucketLabels, type Family, labelsOf, lastLabel, type TextWriter } from "../../metrics/index.ts";
import { counters, type ProxyTotals, type RoutingTable } from "../../proxy/index.ts";
import { formatHostPort } from "../../wire/index.ts";

const { BREAKS, CONNECT_FAILURES, REFUSAL_REASONS, SERVICE_FIELDS, TASK_FIELDS, TIME_BUCKETS_MS, ...fields } =
  counters;

const MS_PER_SECOND = 1000;
export const BUCKETS = bucketLabels(TIME_BUCKETS_MS.map((bound) => bound / MS_PER_SECOND));
const TCP = lastLabel("protocol", "tcp");
const UDP = lastLabel("protocol", "udp");

/** Those that only datagrams and sessions have, and only connections. */
const UDP_REASONS = [
  "session-limit",
  "session-moved",
  "too-long",
  "send-failed",
  "unreachable",
  "published-source",
];
const TCP_REASONS = ["connection-limit", "unknown-server-name", "late-client-hello"];
const FAILURES = REFUSAL_REASONS.map((reason, index) => ({
  reason,
  index,
  label: lastLabel("reason", reason),
}));
const TCP_FAILURES = FAILURES.filter(({ reason }) => !UDP_REASONS.includes(reason));
const UDP_DROPS = FAILURES.filter(({ reason }) => !TCP_REASONS.includes(reason));
const BREAK_LABELS = BREAKS.map((reason) => lastLabel("reason", reason));
const CONNECT_FAILURE_LABELS = CONNECT_FAILURES.map((reason) => lastLabel("reason", reason));
const OTHER_FAILURE = lastLabel("reason", "other");

/** A row of one table. */
interface Row {
  readonly totals: ProxyTotals;
  readonly index: number;
  /** Where its fields begin. */
  readonly at: number;
  readonly labels: Uint8Array;
}

interface RowFamily extends Family {
  /** Whether a row has samples of it; absent: all have. */
  readonly applies?: (row: Row) => boolean;
  readonly write: (writer: TextWriter, row: Row) => void;
}

interface Labelled {
  readonly table: RoutingTable;
  readonly services: readonly Uint8Array[];
  readonly tasks: readonly Uint8Array[];
  readonly publishesTcp: readonly boolean[];
  readonly publishesUdp: readonly boolean[];
}

export class TableMetrics {
  /** Of the last table that was written: its labels take longer than its numbers. */
  #labelled: Labelled | null = null;

  /** @param self name of this node */
  constructor(readonly self: string) {}

  /** Yields whenever the writer is full. */
  *write(writer: TextWriter, totals: ProxyTotals): Generator<void> {
    const labelled = this.#labelsOf(totals.table);
    const { publishesTcp, publishesUdp } = labelled;
    const ofServices = (family: RowFamily, has: (index: number) => boolean = () => true) =>
      writeRows(writer, family, totals, labelled.services, SERVICE_FIELDS, has);
    for (const family of SERVICE_FAMILIES) yield* ofServices(family);
    for (const family of TCP_FAMILIES) yield* ofServices(family, (index) => publishesTcp[index]!);
    for (const family of UDP_FAMILIES) yield* ofServices(family, (index) => publishesUdp[index]!);
    if (totals.table.relay !== null) for (const family of RELAYED_FAMILIES) yield* ofServices(family);
    for (const family of TASK_FAMILIES)
      yield* writeRows(writer, family, totals, labelled.tasks, TASK_FIELDS, () => true);
  }

  #labelsOf(table: RoutingTable): Labelled {
    if (this.#labelled?.table !== table) this.#labelled = label(table, this.self);
    return this.#labelled!;
  }
}

function label(table: RoutingTable, self: string): Labelled {
  const publishes = (protocol: string) =>
    table.services.map(({ ports }) => ports.some((port) => port.protocol === protocol));
  return {
    table,
    services: table.services.map(({ name }) => labelsOf({ service: name })),
    tasks: table.services.flatMap((service) =>
      service.tasks.map(({ name, node, address, port }) =>
        labelsOf({ service: service.name, task: name, node: node ?? self, address: placeOf(address, port) }),
      ),
    ),
    publishesTcp: publishes("tcp"),
    publishesUdp: publishes("udp"),
  };
}

/** A task without a port of its own serves at those that its service names. */
function placeOf(address: string, port: number | null): string {
  return port === null ? address : formatHostPort(address, port);
}

function* writeRows(
  writer: TextWriter,
  family: RowFamily,
  totals: ProxyTotals,
  labels: readonly Uint8Array[],
  fieldCount: number,
  has: (index: number) => boolean,
): Generator<void> {
  writer.family(family);
  for (let index = 0; index < labels.length; index++) {
    if (!has(index)) continue;
    const row = { totals, index, at: index * fieldCount, labels: labels[index]! };
    if (family.applies?.(row) === false) continue;
    family.write(writer, row);
    if (writer.isFull) yield;
  }
}

/** One number of a service. */
function ofService(name: string, type: Family["type"], help: string, field: number): RowFamily {
  return {
    name: `portmesh_service_${name}`,
    type,
    help,
    write: (writer, { totals, at, labels }) => writer.sample(labels, totals.services[at + field]!),
  };
}

function byProtocol(name: string, help: string, tcp: number, udp: number): RowFamily {
  return {
    name: `portmesh_service_${name}`,
    type: "counter",
    help,
    write: (writer, { totals, at, labels }) => {
      writer.sample(labels, totals.services[at + tcp]!, TCP);
      writer.sample(labels, totals.services[at + udp]!, UDP);
    },
  };
}

function ofTask(name: string, help: string, field: number, applies?: RowFamily["applies"]): RowFamily {
  return {
    name: `portmesh_task_${name}`,
    type: "counter",
    help,
    ...(applies && { applies }),
    write: (writer, { totals, at, labels }) => writer.sample(labels, totals.tasks[at + field]!),
  };
}

const SERVICE_FAMILIES: readonly RowFamily[] = [
  {
    name: "portmesh_service_tasks",
    type: "gauge",
    help: "Tasks in the routing table of this node; a name with several addresses counts once for each.",
    write: (writer, { totals, index, labels }) =>
      writer.sample(labels, totals.table.services[index]!.tasks.length),
  },
  {
    name: "portmesh_service_tasks_up",
    type: "gauge",
    help: "Tasks that get new clients from this node.",
    write: (writer, { totals, index, labels }) => writer.sample(labels, totals.tasksUp[index]!),
  },
  byProtocol(
    "received_bytes_total",
    "Bytes from clients that this node has accepted.",
    fields.S_BYTES_IN,
    fields.S_UDP_BYTES_IN,
  ),
  byProtocol(
    "sent_bytes_total",
    "Bytes to clients that this node has accepted.",
    fields.S_BYTES_OUT,
    fields.S_UDP_BYTES_OUT,
  ),
];

const TCP_FAMILIES: readonly RowFamily[] = [
  {
    name: "portmesh_service_connections_open",
    type: "gauge",
    help: "Open TCP connections of clients that this node has accepted.",
    write: (writer, { totals, index, labels }) => writer.sample(labels, totals.open[index]!),
  },
  ofService(
    "connections_total",
    "counter",
    "TCP connections that this node has accepted.",
    fields.S_ACCEPTED,
  ),
  ofService(
    "retries_total",
    "counter",
    "Connects to another task after one for the same client had failed.",
    fields.S_RETRIES,
  ),
  ofService(
    "hedges_total",
    "counter",
    "Connects to another task beside one for the same client that was late.",
    fields.S_HEDGES,
  ),
  {
    name: "portmesh_service_failures_total",
    type: "counter",
    help: "TCP connections that were refused, or ended otherwise than in order, by reason.",
    write: (writer, { totals, at, labels }) => {
      for (const { index, label } of TCP_FAILURES) {
        const all = totals.services[at + fields.S_REFUSALS + index]!;
        writer.sample(labels, all - totals.services[at + fields.S_UDP_REFUSALS + index]!, label);
      }
      for (let index = 0; index < BREAK_LABELS.length; index++)
        writer.sample(labels, totals.services[at + fields.S_BREAKS + index]!, BREAK_LABELS[index]);
    },
  },
  {
    name: "portmesh_service_connect_duration_seconds",
    type: "histogram",
    help: "From the accept of a TCP client to that of its task, retries and hedges included.",
    write: (writer, { totals, at, labels }) => {
      const from = at + fields.S_WAITS;
      const sum = totals.services[from + BUCKETS.length]! / MS_PER_SECOND;
      writer.histogram(labels, totals.services, from, BUCKETS, sum);
    },
  },
];

const UDP_FAMILIES: readonly RowFamily[] = [
  ofService("udp_sessions_open", "gauge", "Open UDP sessions of clients of this node.", fields.S_UDP_OPEN),
  ofService("udp_sessions_total", "counter", "UDP sessions of clients of this node.", fields.S_UDP_SESSIONS),
  ofService("udp_received_datagrams_total", "counter", "Datagrams from clients.", fields.S_UDP_DATAGRAMS_IN),
  ofService("udp_sent_datagrams_total", "counter", "Datagrams to clients.", fields.S_UDP_DATAGRAMS_OUT),
  {
    name: "portmesh_service_udp_drops_total",
    type: "counter",
    help: "Datagrams that were dropped and sessions that were ended early, by reason.",
    write: (writer, { totals, at, labels }) => {
      for (const { index, label } of UDP_DROPS)
        writer.sample(labels, totals.services[at + fields.S_UDP_REFUSALS + index]!, label);
    },
  },
];

const RELAYED_FAMILIES: readonly RowFamily[] = [
  {
    name: "portmesh_service_relayed_connections_open",
    type: "gauge",
    help: "Open TCP connections of clients that other nodes have accepted, with tasks of this node.",
    write: (writer, { totals, index, labels }) => writer.sample(labels, totals.relayedOpen[index]!),
  },
  ofService(
    "relayed_connections_total",
    "counter",
    "TCP connections of clients that other nodes have accepted, to tasks of this node.",
    fields.S_RELAYED_TCP,
  ),
  ofService(
    "relayed_udp_sessions_open",
    "gauge",
    "Open UDP sessions of clients of other nodes, with tasks of this node.",
    fields.S_RELAYED_OPEN,
  ),
  ofService(
    "relayed_udp_sessions_total",
    "counter",
    "UDP sessions of clients of other nodes, with tasks of this node.",
    fields.S_RELAYED_SESSIONS,
  ),
  byProtocol(
    "relayed_received_bytes_total",
    "Bytes from clients that other nodes have accepted, for tasks of this node.",
    fields.S_RELAYED_TCP_BYTES_IN,
    fields.S_RELAYED_BYTES_IN,
  ),
  byProtocol(
    "relayed_sent_bytes_total",
    "Bytes to clients that other nodes have accepted, from tasks of this node.",
    fields.S_RELAYED_TCP_BYTES_OUT,
    fields.S_RELAYED_BYTES_OUT,
  ),
];

/** Most tasks of a large cluster get few clients of one node: what is always 0 then is left out. */
function isUsed({ totals, at }: Row): boolean {
  return totals.tasks[at + fields.T_TOTAL]! > 0 || totals.tasks[at + fields.T_FAILURES]! > 0;
}

const TASK_FAMILIES: readonly RowFamily[] = [
  {
    name: "portmesh_task_up",
    type: "gauge",
    help: "1: the task gets new clients from this node. 0: it is draining, unhealthy, lately failing, or leads back to its own port.",
    write: (writer, { totals, index, labels }) => writer.sample(labels, totals.areTasksUp[index] ? 1 : 0),
  },
  {
    name: "portmesh_task_connections_open",
    type: "gauge",
    help: "Open connections and UDP sessions of this node with the task.",
    write: (writer, { totals, at, labels }) => writer.sample(labels, totals.tasks[at + fields.T_OPEN]!),
  },
  ofTask("connections_total", "Connections and UDP sessions of this node with the task.", fields.T_TOTAL),
  ofTask("sent_bytes_total", "Bytes to the task.", fields.T_BYTES_IN, isUsed),
  ofTask("received_bytes_total", "Bytes from the task.", fields.T_BYTES_OUT, isUsed),
  ofTask(
    "retries_total",
    "Clients for whom another task was tried after a connect to this one had failed.",
    fields.T_RETRIES,
    isUsed,
  ),
  ofTask(
    "hedges_total",
    "Clients for whom another task was tried beside this one because it was late to accept.",
    fields.T_HEDGES,
    isUsed,
  ),
  {
    name: "portmesh_task_connect_failures_total",
    type: "counter",
    help: "Connects to the task that have failed, by reason.",
    applies: isUsed,
    write: (writer, { totals: { tasks }, at, labels }) => {
      let other = tasks[at + fields.T_FAILURES]!;
      for (let index = 0; index < CONNECT_FAILURE_LABELS.length; index++) {
        const count = tasks[at + fields.T_FAILURES_BY + index]!;
        other -= count;
        writer.sample(labels, count, CONNECT_FAILURE_LABELS[index]);
      }
      writer.sample(labels, Math.max(0, other), OTHER_FAILURE);
    },
  },
  {
    name: "portmesh_task_connect_duration_seconds",
    type: "histogram",
    help: "From the connect to a task, or from the request to its node, to its accept.",
    applies: isUsed,
    write: (writer, { totals, at, labels }) => {
      const from = at + fields.T_CONNECTS;
      const sum = totals.tasks[from + BUCKETS.length]! / MS_PER_SECOND;
      writer.histogram(labels, totals.tasks, from, BUCKETS, sum);
    },
  },
];
