/**
 * The state of this node's tasks and ports, for the log and for the other nodes. They close ports that lead to tasks of
 * this node only when those are down.
 */
import type { DownTask, NodeRecord } from "../catalog/index.ts";
import type { PublishedPort, RoutingTable, Service } from "../proxy/index.ts";
import { type EventSink, NO_EVENTS } from "./events/events.ts";
import type { TaskReach } from "./port-gate.ts";
import { portKey, type RoutingInput } from "./routing-input.ts";

/** Ports of a service that lead to no reachable task; neighbours as one: "8080/tcp", "30000-30009/udp". */
export interface ClosedPorts {
  readonly service: string;
  readonly ports: readonly string[];
}

export interface Reach {
  readonly closed: readonly ClosedPorts[];
  readonly down: readonly DownTask[];
}

export interface ReachReportOptions {
  readonly log: { portsClosed(ports: ClosedPorts): void; portsOpened(ports: ClosedPorts): void };
  /** For the other nodes. */
  readonly onReach: (reach: Reach) => void;
  readonly events?: EventSink;
}

type OwnTask = Pick<DownTask, "service" | "task">;

export class ReachReport {
  readonly #options: ReachReportOptions;
  readonly #events: EventSink;
  #closed: readonly ClosedPorts[] = [];
  #down: readonly DownTask[] = [];

  constructor(options: ReachReportOptions) {
    this.#options = options;
    this.#events = options.events ?? NO_EVENTS;
  }

  /** @param isServed a task that is not down: whether it is there still, and does not drain */
  report(now: Reach, isServed: (task: OwnTask) => boolean): void {
    const { onReach, log } = this.#options;
    for (const ports of without(now.closed, this.#closed)) log.portsClosed(ports);
    for (const ports of without(this.#closed, now.closed)) log.portsOpened(ports);
    this.#closed = now.closed;
    this.#recordTasks(now.down, isServed);
    this.#down = now.down;
    onReach(now);
  }

  #recordTasks(down: readonly DownTask[], isServed: (task: OwnTask) => boolean): void {
    const before = new Map(this.#down.map((each) => [taskKey(each), each]));
    const now = new Map(down.map((each) => [taskKey(each), each]));
    for (const { service, task, ports } of down) {
      const known = before.get(taskKey({ service, task }));
      if (known !== undefined && known.ports.join() === ports.join()) continue;
      const on = ports.length === 0 ? "" : ` on ${ports.join(", ")}`;
      const message = `task ${task} of service "${service}" does not accept connections${on}`;
      this.#events.record({ kind: "task-unreachable", message, service, task });
    }
    for (const { service, task } of this.#down) {
      if (now.has(taskKey({ service, task })) || !isServed({ service, task })) continue;
      const message = `task ${task} of service "${service}" accepts connections again`;
      this.#events.record({ kind: "task-reachable", message, service, task });
    }
  }
}

function taskKey({ service, task }: OwnTask): string {
  return `${service} ${task}`;
}

/** By single port: the ranges of two looks need not begin and end alike. */
function without(all: readonly ClosedPorts[], known: readonly ClosedPorts[]): ClosedPorts[] {
  return all.flatMap(({ service, ports }) => {
    const others = known.find((each) => each.service === service)?.ports ?? [];
    if (others.join() === ports.join()) return [];
    const before = new Set(portsOf(others).map(portKey));
    const missing = portsOf(ports).filter((port) => !before.has(portKey(port)));
    return missing.length === 0 ? [] : [{ service, ports: rangesOf(missing) }];
  });
}

/** What rangesOf has made ranges of. */
function portsOf(ranges: readonly string[]): Pick<PublishedPort, "protocol" | "published">[] {
  return ranges.flatMap((range) => {
    const [ports, protocol] = range.split("/") as [string, PublishedPort["protocol"]];
    const [first, last = first] = ports.split("-").map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, index) => ({ protocol, published: first + index }));
  });
}

/** Whether a node, another one, has said that it cannot reach a task of its own through this port. */
export function isReportedDown(
  record: NodeRecord | undefined,
  service: string,
  task: string,
  port: string,
): boolean {
  const found = (record?.downTasks ?? []).find((each) => each.service === service && each.task === task);
  return found !== undefined && (found.ports.length === 0 || found.ports.includes(port));
}

/** Tasks of this node that get clients when they can be reached. */
export function servedTask({ self, services }: RoutingInput): (task: OwnTask) => boolean {
  return ({ service, task }) =>
    services
      .find(({ name }) => name === service)
      ?.tasks.some(({ node, name, isDraining }) => node === self.name && name === task && !isDraining) ===
    true;
}

export function reachIn(input: RoutingInput, table: RoutingTable, reach: Pick<TaskReach, "isTaskUp">): Reach {
  return { closed: closedPortsOf(table), down: downTasksOf(input, table, reach) };
}

function closedPortsOf({ services }: RoutingTable): ClosedPorts[] {
  return services.flatMap(({ name, ports }) => {
    const closed = ports.filter((port) => port.isClosed === true);
    return closed.length === 0 ? [] : [{ service: name, ports: rangesOf(closed) }];
  });
}

function rangesOf(ports: readonly Pick<PublishedPort, "protocol" | "published">[]): string[] {
  const runs: { protocol: string; first: number; last: number }[] = [];
  for (const { protocol, published } of ports) {
    const run = runs.at(-1);
    if (run?.protocol === protocol && run.last + 1 === published) run.last = published;
    else runs.push({ protocol, first: published, last: published });
  }
  return runs.map(
    ({ protocol, first, last }) => `${first === last ? first : `${first}-${last}`}/${protocol}`,
  );
}

/** Tasks of this node, those whose name has no address among them. What drains is out of use anyway. */
function downTasksOf(
  { self, services }: RoutingInput,
  table: RoutingTable,
  reach: Pick<TaskReach, "isTaskUp">,
): DownTask[] {
  const routed = new Map(table.services.map((service) => [service.name, service]));
  return services.flatMap(({ name, tasks }) => {
    const own = tasks.filter(({ node, isDraining }) => node === self.name && !isDraining);
    const service = routed.get(name);
    if (service === undefined) return [];
    const local = service.tasks.filter(({ node }) => node === null);
    const addresses = Map.groupBy(local, (target) => target.name);
    return own.flatMap((task) => downTask(service, task.name, addresses.get(task.name) ?? [], reach));
  });
}

function downTask(
  service: Service,
  task: string,
  addresses: Service["tasks"],
  reach: Pick<TaskReach, "isTaskUp">,
): DownTask[] {
  const isDown = (port: PublishedPort) => addresses.every((address) => !reach.isTaskUp(address, port));
  const ports = service.ports.filter(isDown);
  if (ports.length === 0) return [];
  return [
    { service: service.name, task, ports: ports.length === service.ports.length ? [] : ports.map(portKey) },
  ];
}
