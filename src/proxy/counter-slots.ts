/** Where services, tasks and peers count: a slot for each of a table, kept until its last connection has ended. */
import { Slots } from "../sys/slots.ts";
import {
  clearPeer,
  clearServiceIfIdle,
  clearTaskIfIdle,
  MAX_PEERS,
  MAX_SERVICES,
  MAX_TASKS,
  type SharedCounters,
} from "./table/counters.ts";
import type { RoutingTable, Service, Task } from "./table/routing-table.ts";

export class CounterSlots {
  /** By name. */
  readonly services = new Slots(MAX_SERVICES, "services");
  readonly peers = new Slots(MAX_PEERS, "peers");
  /** By `taskKey`. */
  readonly tasks = new Slots(MAX_TASKS, "tasks");

  takeTask(service: Service, task: Task): number {
    return this.tasks.take(taskKey(service, task));
  }

  taskOf(service: Service, task: Task): number | undefined {
    return this.tasks.get(taskKey(service, task));
  }

  /** Frees the slots of services and peers that have left the table and have no connection. */
  releaseUnused({ services, peers }: RoutingTable, counters: SharedCounters): void {
    const tasks = services.flatMap((service) => service.tasks.map((task) => taskKey(service, task)));
    const serviceNames = services.map(({ name }) => name);
    const peerNames = peers.map(({ name }) => name);
    releaseUnused(this.services, serviceNames, (slot) => clearServiceIfIdle(counters, slot));
    releaseUnused(this.tasks, tasks, (slot) => clearTaskIfIdle(counters, slot));
    releaseUnused(this.peers, peerNames, (slot) => clearPeer(counters, slot));
  }
}

function releaseUnused(slots: Slots, used: readonly string[], clearIfIdle: (slot: number) => boolean): void {
  const staying = new Set(used);
  for (const [key, slot] of [...slots.entries]) {
    if (!staying.has(key) && clearIfIdle(slot)) slots.release(key);
  }
}

function taskKey(service: Service, task: Task): string {
  return `${service.name} ${task.name} ${task.address} ${task.port} ${task.node ?? ""}`;
}
