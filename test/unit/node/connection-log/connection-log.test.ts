import { describe, expect, test } from "bun:test";
import { ConnectionLog, recordRule, recordSettings } from "../../../../src/node/connection-log/index.ts";
import { ConnectionRecord } from "../../../../src/proxy/index.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

function logAt(rate: number) {
  const clock = new ManualClock();
  const written: { lines: string; count: number }[] = [];
  const warnings: [object, string][] = [];
  const log = new ConnectionLog({
    format: "haproxy",
    rate,
    clock,
    self: "n1",
    log: {
      writeRecords: (lines, count) => void written.push({ lines, count }),
      warn: (fields: object | string, message?: string) => void warnings.push([fields as object, message!]),
    },
  });
  const offer = (count: number) => {
    for (let i = 0; i < count; i++) if (log.admit()) log.add(new ConnectionRecord());
  };
  const lines = () => written.reduce((sum, { count }) => sum + count, 0);
  return { log, clock, written, warnings, offer, lines };
}

describe("ConnectionLog", () => {
  test("writes a portion at once", () => {
    const { log, offer, written } = logAt(1_000);
    offer(10);
    expect(written).toEqual([]);
    log.flush();
    log.flush();
    expect(written).toHaveLength(1);
    expect(written[0]!.count).toBe(10);
    expect(written[0]!.lines.trimEnd().split("\n")).toHaveLength(10);
  });

  test("a long portion is written in pieces", () => {
    const { log, offer, written, lines } = logAt(10_000);
    offer(5_000);
    log.flush();
    expect(written.length).toBeGreaterThan(2);
    expect(Math.max(...written.map((piece) => piece.lines.length))).toBeLessThan(65_536);
    expect(lines()).toBe(5_000);
  });

  test("what is over the rate is left out, counted, and told once a second", async () => {
    const { log, clock, offer, lines, warnings } = logAt(100);
    offer(150);
    log.flush();
    expect([lines(), warnings]).toEqual([100, []]);
    await clock.advance(1_000);
    expect(warnings).toEqual([
      [{ suppressed: 50 }, "50 connection records left out: 50 over log.connection_rate (100 a second)"],
    ]);
    offer(50);
    log.flush();
    expect(lines()).toBe(150);
    await clock.advance(5_000);
    expect(warnings).toHaveLength(1);
    expect(clock.timerCount).toBe(0);
  });

  test("counts what was not read in time", async () => {
    const { log, clock, warnings } = logAt(100);
    log.onLost(1);
    await clock.advance(1_000);
    expect(warnings).toEqual([
      [{ suppressed: 1 }, "1 connection record left out: 1 because the node was too busy"],
    ]);
  });

  test("follows a new rate and format", async () => {
    const { log, clock, offer, lines, written } = logAt(1);
    offer(5);
    log.settings = { format: "json", rate: 3 };
    expect(lines()).toBe(1);
    await clock.advance(1_000);
    offer(5);
    log.flush();
    expect(lines()).toBe(4);
    expect(JSON.parse(written.at(-1)!.lines.split("\n")[0]!)).toMatchObject({ reason: "done" });
  });

  test("says at its end what it has left out", () => {
    const { log, offer, lines, warnings } = logAt(2);
    offer(5);
    log.close();
    expect(lines()).toBe(2);
    expect(warnings).toHaveLength(1);
  });
});

test("recordRule reads the setting", () => {
  expect(["off", "errors", "all", "sampled:100"].map(recordRule)).toEqual([
    { errors: false, every: 0 },
    { errors: true, every: 0 },
    { errors: true, every: 1 },
    { errors: true, every: 100 },
  ]);
});

test("recordSettings: auto is the format of the log", () => {
  const of = (connectionFormat: "auto" | "haproxy", isPretty: boolean) =>
    recordSettings(
      { level: "info", format: "auto", connections: "all", connectionFormat, connectionRate: 5 },
      { isPretty },
    );
  expect([of("auto", true), of("auto", false), of("haproxy", true)]).toEqual([
    { format: "pretty", rate: 5 },
    { format: "json", rate: 5 },
    { format: "haproxy", rate: 5 },
  ]);
});
