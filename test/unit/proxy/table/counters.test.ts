import { expect, test } from "bun:test";
import {
  clearServiceIfIdle,
  clearTaskIfIdle,
  createCounters,
  REFUSAL_INDEX,
  REFUSAL_REASONS,
  S_ACCEPTED,
  S_REFUSALS,
  S_RELAYED_OPEN,
  S_UDP_OPEN,
  SERVICE_FIELDS,
  sumRows,
  T_OPEN,
  T_TOTAL,
  TASK_FIELDS,
} from "../../../../src/proxy/table/counters.ts";

const SLOT = 7;
const service = (field: number) => SLOT * SERVICE_FIELDS + field;
const task = (field: number) => SLOT * TASK_FIELDS + field;

test("every refusal has a field of its own inside its service's", () => {
  const fields = REFUSAL_REASONS.map((reason) => S_REFUSALS + REFUSAL_INDEX[reason]);
  expect(new Set(fields).size).toBe(REFUSAL_REASONS.length);
  expect(Math.max(...fields)).toBeLessThan(SERVICE_FIELDS);
});

test("sumRows adds the workers' rows", () => {
  const { services } = createCounters(3);
  services.forEach((row, worker) => {
    row[service(S_ACCEPTED)] = 10 ** worker;
  });
  expect(sumRows(services, service(S_ACCEPTED))).toBe(111);
  expect(sumRows(services, service(S_ACCEPTED) + 1)).toBe(0);
});

test("clearServiceIfIdle waits for connections and sessions, and leaves neighbours alone", () => {
  const counters = createCounters(2);
  for (const row of counters.services) row.fill(5, service(-1), service(SERVICE_FIELDS) + 1);
  counters.open[SLOT] = 1;
  expect(clearServiceIfIdle(counters, SLOT)).toBe(false);
  counters.open[SLOT] = 0;
  expect(clearServiceIfIdle(counters, SLOT)).toBe(false);
  for (const row of counters.services) row[service(S_UDP_OPEN)] = 0;
  expect(clearServiceIfIdle(counters, SLOT)).toBe(false);
  for (const row of counters.services) row[service(S_RELAYED_OPEN)] = 0;
  expect(clearServiceIfIdle(counters, SLOT)).toBe(true);
  for (const row of counters.services) {
    expect([...row.subarray(service(0), service(SERVICE_FIELDS))]).toEqual(Array(SERVICE_FIELDS).fill(0));
    expect([row[service(-1)], row[service(SERVICE_FIELDS)]]).toEqual([5, 5]);
  }
});

test("clearTaskIfIdle waits for the connections of every worker", () => {
  const counters = createCounters(2);
  const [first, second] = counters.tasks as [Float64Array, Float64Array];
  first[task(T_TOTAL)] = 9;
  second[task(T_OPEN)] = 1;
  expect(clearTaskIfIdle(counters, SLOT)).toBe(false);
  second[task(T_OPEN)] = 0;
  expect(clearTaskIfIdle(counters, SLOT)).toBe(true);
  expect(first[task(T_TOTAL)]).toBe(0);
});
