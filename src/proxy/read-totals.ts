/**
 * Adds up the workers' counters of all services and tasks, as numbers in the order of the table: ten thousand tasks take
 * about a millisecond. The workers go on counting meanwhile.
 */
import type { CounterSlots } from "./counter-slots.ts";
import { type Counted, isFailing, readLoop, readWhole } from "./read-status.ts";
import { SERVICE_FIELDS, TASK_FIELDS } from "./table/counters.ts";
import type { RoutingTable } from "./table/routing-table.ts";
import type { ProxyStatus } from "./table/status.ts";

export interface ProxyTotals {
  readonly table: RoutingTable;
  readonly whole: Omit<ProxyStatus, "services">;
  /** By service, and S_… */
  readonly services: Float64Array;
  /** By task, those of the first service first, and T_… */
  readonly tasks: Float64Array;
  /** By service: open TCP connections, of its own clients and of other nodes'. */
  readonly open: readonly number[];
  readonly relayedOpen: readonly number[];
  /** By task: whether it gets new clients. */
  readonly areTasksUp: readonly boolean[];
  /** By service: how many do. */
  readonly tasksUp: readonly number[];
  /** By worker: how often the kernel had no descriptor to give. */
  readonly exhausted: readonly number[];
  /** By worker: how late its loop was, as a histogram of HISTOGRAM_FIELDS. */
  readonly loopLags: readonly Float64Array[];
  /** Listening sockets, and addresses and ports that cannot be opened. */
  readonly listeners: { readonly open: number; readonly failed: number };
}

/** Where a table is counted; -1: nowhere. */
interface Places {
  readonly table: RoutingTable;
  readonly services: readonly number[];
  readonly tasks: readonly number[];
}

export class TotalsReader {
  /** Of the last table read: looking up ten thousand tasks by name takes longer than adding up. */
  #places: Places | null = null;

  /** @param nowMs wall clock */
  read(counted: Counted, nowMs: number): ProxyTotals {
    const { table, counters, slots, listeners } = counted;
    const places = this.#placesOf(table, slots);
    const failed = [...listeners.values()].filter(({ error }) => error !== null).length;
    const areTasksUp = this.#areTasksUp(counted, places, nowMs);
    return {
      table,
      whole: readWhole(counted),
      services: sumsOf(counters.services, places.services, SERVICE_FIELDS),
      tasks: sumsOf(counters.tasks, places.tasks, TASK_FIELDS),
      open: places.services.map((slot) => counters.open[slot] ?? 0),
      relayedOpen: places.services.map((slot) => counters.relayedOpen[slot] ?? 0),
      areTasksUp,
      tasksUp: countUp(table, areTasksUp),
      exhausted: [...counters.exhausted],
      loopLags: counters.loopLags,
      listeners: { open: listeners.size - failed, failed },
    };
  }

  #areTasksUp({ table, counters }: Counted, { tasks }: Places, nowMs: number): boolean[] {
    let index = 0;
    return table.services.flatMap((service) =>
      service.tasks.map((task) => {
        const at = tasks[index++]! * TASK_FIELDS;
        if (task.isDraining || task.isOutOfRotation === true || isFailing(counters, at, nowMs)) return false;
        return readLoop(service, task).state === undefined;
      }),
    );
  }

  #placesOf(table: RoutingTable, slots: CounterSlots): Places {
    if (this.#places?.table === table) return this.#places;
    const services = table.services.map(({ name }) => slots.services.get(name) ?? -1);
    const tasks = table.services.flatMap((service) =>
      service.tasks.map((task) => slots.taskOf(service, task) ?? -1),
    );
    const places = { table, services, tasks };
    this.#places = services.includes(-1) || tasks.includes(-1) ? null : places;
    return places;
  }
}

function countUp({ services }: RoutingTable, areTasksUp: readonly boolean[]): number[] {
  let index = 0;
  return services.map(({ tasks }) => tasks.reduce((up) => (areTasksUp[index++] ? up + 1 : up), 0));
}

function sumsOf(rows: readonly Float64Array[], slots: readonly number[], fields: number): Float64Array {
  const sums = new Float64Array(slots.length * fields);
  for (const row of rows) {
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index]!;
      if (slot < 0) continue;
      const to = index * fields;
      for (let at = slot * fields, field = 0; field < fields; field++) sums[to + field]! += row[at + field]!;
    }
  }
  return sums;
}
