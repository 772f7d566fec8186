/** What has been counted, on its way to another process: totals, not what is open, which that process counts itself. */
import type { CounterSlots } from "./counter-slots.ts";
import {
  P_ANSWERS,
  P_FAILURES,
  PEER_FIELDS,
  S_RELAYED_OPEN,
  S_UDP_OPEN,
  SERVICE_FIELDS,
  type SharedCounters,
  sumRows,
  T_BYTES_IN,
  T_FAILURES,
  T_LAST_ERRNO,
  T_LAST_FAILURE_AT,
  T_TOTAL,
  TASK_FIELDS,
} from "./table/counters.ts";

type Counted = readonly [key: string, fields: readonly number[]];

export interface CounterState {
  readonly services: readonly Counted[];
  readonly tasks: readonly Counted[];
  readonly peers: readonly Counted[];
  readonly relayDrops: readonly number[];
  readonly relayRefusals: readonly number[];
  /** By worker; absent: of a version without them. */
  readonly loopLags?: readonly (readonly number[])[];
}

/** Field 15 is one of a former version. */
const SERVICE_TOTALS = fieldsBut(SERVICE_FIELDS, [S_UDP_OPEN, S_RELAYED_OPEN, 15]);
const TASK_TOTALS = [T_TOTAL, T_FAILURES];
/** Of a task's last failure: not added up over workers. */
const TASK_MARKS = [T_LAST_ERRNO, T_LAST_FAILURE_AT];
/** After the marks: a former version has none of these, and a next one may have more. */
const MORE_TASK_TOTALS = fieldsBut(
  TASK_FIELDS,
  Array.from({ length: T_BYTES_IN }, (_, field) => field),
);
const TASK_STATE = [...TASK_TOTALS, ...TASK_MARKS, ...MORE_TASK_TOTALS];
const PEER_TOTALS = [P_FAILURES, P_ANSWERS];

export function exportCounters(counters: SharedCounters, slots: CounterSlots): CounterState {
  const { services, tasks, peers, relayDrops, relayRefusals } = counters;
  return {
    services: totalsOf(slots.services.entries, services, SERVICE_FIELDS, SERVICE_TOTALS),
    tasks: [...slots.tasks.entries].map(([key, slot]) => [key, exportTask(tasks, slot * TASK_FIELDS)]),
    peers: totalsOf(slots.peers.entries, peers, PEER_FIELDS, PEER_TOTALS),
    relayDrops: sumsOf(relayDrops),
    relayRefusals: sumsOf(relayRefusals),
    loopLags: counters.loopLags.map((row) => [...row]),
  };
}

/** To counters that nobody has written to yet; each service, task and peer gets its slot. */
export function continueCounters(state: CounterState, counters: SharedCounters, slots: CounterSlots): void {
  const [services, tasks, peers] = [counters.services[0]!, counters.tasks[0]!, counters.peers[0]!];
  addTotals(state.services, slots.services, services, SERVICE_FIELDS, SERVICE_TOTALS);
  addTotals(state.tasks, slots.tasks, tasks, TASK_FIELDS, TASK_STATE);
  addTotals(state.peers, slots.peers, peers, PEER_FIELDS, PEER_TOTALS);
  addRow(state.relayDrops, counters.relayDrops[0]!);
  addRow(state.relayRefusals, counters.relayRefusals[0]!);
  for (const [worker, lags] of (state.loopLags ?? []).entries())
    addRow(lags, counters.loopLags[worker % counters.loopLags.length]!);
}

function totalsOf(
  entries: ReadonlyMap<string, number>,
  rows: readonly Float64Array[],
  stride: number,
  fields: readonly number[],
): Counted[] {
  return [...entries].map(([key, slot]) => [
    key,
    fields.map((field) => sumRows(rows, slot * stride + field)),
  ]);
}

/** The fields of TASK_STATE. */
function exportTask(rows: readonly Float64Array[], at: number): number[] {
  const sums = (fields: readonly number[]) => fields.map((field) => sumRows(rows, at + field));
  return [...sums(TASK_TOTALS), ...lastFailure(rows, at), ...sums(MORE_TASK_TOTALS)];
}

function lastFailure(rows: readonly Float64Array[], at: number): number[] {
  const last = rows.reduce((one, other) =>
    other[at + T_LAST_FAILURE_AT]! > one[at + T_LAST_FAILURE_AT]! ? other : one,
  );
  return TASK_MARKS.map((field) => last[at + field]!);
}

function addTotals(
  counted: readonly Counted[],
  slots: { take(key: string): number },
  row: Float64Array,
  stride: number,
  fields: readonly number[],
): void {
  for (const [key, totals] of counted) {
    const at = slots.take(key) * stride;
    for (const [index, field] of fields.entries()) row[at + field]! += totals[index] ?? 0;
  }
}

function sumsOf(rows: readonly Float64Array[]): number[] {
  return Array.from(rows[0]!, (_, index) => sumRows(rows, index));
}

function addRow(sums: readonly number[], row: Float64Array): void {
  for (const [index, sum] of sums.entries()) if (index < row.length) row[index]! += sum;
}

function fieldsBut(count: number, without: readonly number[]): number[] {
  return Array.from({ length: count }, (_, field) => field).filter((field) => !without.includes(field));
}
