import { expect, test } from "bun:test";
import { closeSync, openSync, readdirSync } from "node:fs";
import { readProcessFigures } from "../../../src/sys/process-figures.ts";

test("what the kernel counts of this process", async () => {
  const before = await readProcessFigures();
  const opened = Array.from({ length: 10 }, () => openSync("/dev/null", "r"));
  const after = await readProcessFigures();
  for (const fd of opened) closeSync(fd);
  expect(after.openDescriptors).toBeGreaterThanOrEqual(before.openDescriptors + 10);
  expect(after.cpuSeconds).toBeGreaterThanOrEqual(before.cpuSeconds);
  expect(after.maxDescriptors).toBeGreaterThan(after.openDescriptors);
  expect(after.threads).toBe(readdirSync("/proc/self/task").length);
  expect(after.virtualBytes).toBeGreaterThan(after.residentBytes);
  expect(after.residentBytes).toBeGreaterThan(1024 * 1024);
  expect(after.startedAtSeconds).toBe(before.startedAtSeconds);
  expect(after.startedAtSeconds).toBeLessThanOrEqual(Date.now() / 1000 + 1);
  expect(after.startedAtSeconds).toBeGreaterThan(Date.now() / 1000 - process.uptime() - 60);
});
