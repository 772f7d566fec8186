/** A proxy without sockets: remembers the tables it was given and can be made to fail. */

import type { NodeProxy } from "../../../src/node/index.ts";
import {
  counters,
  EMPTY_TABLE,
  type PreparedTable,
  type ProxyStatus,
  type ProxyTotals,
  type RecordRule,
  type RoutingTable,
  type TableChanges,
} from "../../../src/proxy/index.ts";

export class FakeProxy implements NodeProxy {
  readonly tables: RoutingTable[] = [];
  readonly calls: string[] = [];
  prepareError: Error | null = null;
  bindErrors: PreparedTable["bindErrors"] = [];
  /** Commits wait for it. */
  gate: Promise<void> = Promise.resolve();
  recorded: RecordRule | null = null;
  excess: (table: RoutingTable) => string | null = () => null;

  get table(): RoutingTable {
    return this.tables.at(-1) ?? EMPTY_TABLE;
  }

  compare(table: RoutingTable): TableChanges {
    const before = listenersOf(this.table);
    const after = listenersOf(table);
    return {
      listenersOpened: after.filter((listener) => !before.includes(listener)),
      listenersClosed: before.filter((listener) => !after.includes(listener)),
    };
  }

  excessOf(table: RoutingTable): string | null {
    return this.excess(table);
  }

  prepare(table: RoutingTable): PreparedTable {
    this.calls.push("prepare");
    if (this.prepareError !== null) throw this.prepareError;
    return { changes: this.compare(table), bindErrors: this.bindErrors, table, listeners: new Map() };
  }

  async commit(prepared: PreparedTable): Promise<void> {
    await this.gate;
    this.calls.push("commit");
    this.tables.push(prepared.table);
  }

  async retryPorts(): Promise<void> {
    await this.gate;
    this.calls.push("retryPorts");
  }

  isTaskUp(): boolean {
    return true;
  }

  /** Never resolves while workers hang. */
  areHung = false;

  async ping(): Promise<void> {
    if (this.areHung) await new Promise(() => undefined);
  }

  async closePorts(): Promise<void> {
    this.calls.push("closePorts");
  }

  silentLooksOf(): number {
    return 0;
  }

  openConnectionsOf(): number {
    return 0;
  }

  status(): ProxyStatus {
    return {
      workers: 1,
      workersOutOfDescriptors: 0,
      sourcePorts: { low: 32_768, high: 60_999, forSessions: 24_703, leftToHost: 3_529 },
      relay: { connectionsRefusedTotal: {}, datagramsDroppedTotal: {} },
      peers: [],
      services: [],
    };
  }

  totals(): ProxyTotals {
    const { services } = this.table;
    const tasks = services.flatMap((service) => service.tasks);
    const { services: _, ...whole } = this.status();
    return {
      table: this.table,
      whole,
      services: new Float64Array(services.length * counters.SERVICE_FIELDS),
      tasks: new Float64Array(tasks.length * counters.TASK_FIELDS),
      open: services.map(() => 0),
      relayedOpen: services.map(() => 0),
      areTasksUp: tasks.map(() => true),
      tasksUp: services.map((service) => service.tasks.length),
      exhausted: [0],
      loopLags: [new Float64Array(counters.HISTOGRAM_FIELDS)],
      listeners: { open: 0, failed: 0 },
    };
  }

  recordConnections(rule: RecordRule): void {
    this.recorded = rule;
  }

  readonly sockets = [];

  async pauseUdp(): ReturnType<NodeProxy["pauseUdp"]> {
    return { value: { sockets: [], claims: [] }, descriptors: [] };
  }

  async resumeUdp(): Promise<void> {}

  async forgetUdp(): Promise<void> {}

  exportCounters(): ReturnType<NodeProxy["exportCounters"]> {
    return { services: [], tasks: [], peers: [], relayDrops: [], relayRefusals: [] };
  }

  continueFrom(): void {}

  readonly openConnections = 0;

  async forget(): Promise<void> {
    this.calls.push("forget");
  }

  async drain(): Promise<boolean> {
    this.calls.push("drain");
    return true;
  }

  hurry(): void {
    this.calls.push("hurry");
  }

  async stop(): Promise<void> {
    this.calls.push("stop");
  }
}

function listenersOf(table: RoutingTable): string[] {
  return table.services.flatMap((service) =>
    service.ports.flatMap((port) =>
      service.listenAddresses.map((address) => `${port.protocol} ${address}:${port.published}`),
    ),
  );
}
