/** When and how a shortage is reported. */
import { beforeEach, expect, test } from "bun:test";
import { type Shortage, ShortageWatch } from "../../../src/proxy/shortage-watch.ts";
import {
  createCounters,
  REFUSAL_INDEX,
  S_REFUSALS,
  SERVICE_FIELDS,
} from "../../../src/proxy/table/counters.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const counters = createCounters(2);
const at = SERVICE_FIELDS + S_REFUSALS + REFUSAL_INDEX["out-of-descriptors"];
let reports: Shortage[] = [];
let watch: ShortageWatch;
let clock: ManualClock;

beforeEach(() => {
  reports = [];
  clock = new ManualClock();
  for (const row of counters.services) row.fill(0);
  counters.exhausted.fill(0);
  counters.paused.fill(0);
  watch = new ShortageWatch({
    counters,
    clock,
    fileLimit: 1_024,
    slots: () => new Map([["dns", 1]]),
    onShortage: (shortage) => reports.push(shortage),
  });
});

function refuse(worker: number, count: number): void {
  counters.services[worker]![at]! += count;
  watch.onShortage();
}

test("the first shortage is reported at once, summed over workers", () => {
  counters.services[1]![at]! += 2;
  refuse(0, 3);
  expect(reports).toEqual([
    {
      services: [{ service: "dns", reason: "out-of-descriptors", count: 5 }],
      exhausted: 0,
      waitingWorkers: 0,
      fileLimit: 1_024,
    },
  ]);
});

test("later reports are gathered, and only new ones are logged", async () => {
  refuse(0, 3);
  for (let i = 0; i < 10; i++) refuse(i % 2, 10);
  expect(reports).toHaveLength(1);
  await clock.advance(1_100);
  expect(reports.map(({ services }) => services[0]!.count)).toEqual([3, 100]);
});

test("descriptors that the kernel did not give and workers that wait are logged without a service", () => {
  counters.exhausted[1] = 4;
  counters.paused[0] = 1;
  watch.onShortage();
  expect(reports).toEqual([{ services: [], exhausted: 4, waitingWorkers: 1, fileLimit: 1_024 }]);
});

test("an hour of it gives little more than a report a minute", async () => {
  for (let second = 0; second < 3_600; second++) {
    refuse(0, 1);
    await clock.advance(1_000);
  }
  expect(reports.length).toBeLessThan(70);
  expect(reports.length).toBeGreaterThan(30);
});
