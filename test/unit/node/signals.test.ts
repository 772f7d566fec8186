import { afterEach, expect, test } from "bun:test";
import { NodeSignals } from "../../../src/node/signals.ts";
import { recordingLog } from "../../support/node/recording-log.ts";
import { settle } from "../../support/time/manual-clock.ts";

const SIGNALS = ["SIGHUP", "SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"] as const;

afterEach(() => {
  for (const signal of SIGNALS) process.removeAllListeners(signal);
});

test("signals take over from what handled them before", () => {
  let before = 0;
  for (const signal of SIGNALS) process.on(signal, () => before++);
  const { log, lines } = recordingLog();
  new NodeSignals(log);
  for (const signal of SIGNALS) process.emit(signal);
  expect(before).toBe(0);
  expect(SIGNALS.map((signal) => process.listenerCount(signal))).toEqual([1, 1, 1, 1, 1]);
  expect(lines).toEqual([
    "warn SIGUSR1 ignored: SIGHUP reloads, SIGTERM drains and stops",
    "warn SIGUSR2 ignored: SIGHUP reloads, SIGTERM drains and stops",
  ]);
});

test("reloads asked for while starting or reloading are one reload", async () => {
  const signals = new NodeSignals(recordingLog().log);
  let count = 0;
  let reload = Promise.withResolvers<void>();
  for (let i = 0; i < 100; i++) process.emit("SIGHUP");
  signals.onServing(() => {
    count++;
    return reload.promise;
  });
  expect(count).toBe(1);
  for (let i = 0; i < 100; i++) process.emit("SIGHUP");
  expect(count).toBe(1);
  const first = reload;
  reload = Promise.withResolvers();
  first.resolve();
  await settle();
  expect(count).toBe(2);
  reload.resolve();
  await settle();
  process.emit("SIGHUP");
  expect(count).toBe(3);
});

test("without a signal nothing is reloaded", async () => {
  const signals = new NodeSignals(recordingLog().log);
  let count = 0;
  signals.onServing(async () => void count++);
  await settle();
  expect(count).toBe(0);
});

test("the first SIGTERM or SIGINT stops, the second hurries", async () => {
  const signals = new NodeSignals(recordingLog().log);
  const told: string[] = [];
  void signals.stop.then(() => told.push("stop"));
  void signals.hurry.then(() => told.push("hurry"));
  process.emit("SIGINT");
  await settle();
  expect(told).toEqual(["stop"]);
  process.emit("SIGTERM");
  await settle();
  expect(told).toEqual(["stop", "hurry"]);
});
