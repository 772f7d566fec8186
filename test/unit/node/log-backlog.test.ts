import { expect, test } from "bun:test";
import { LogBacklog } from "../../../src/node/log-backlog.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const ENOSPC = 28;
const MEBIBYTE = 1_048_576;

/** `takes`: bytes the reader still takes, or -errno. */
function backlogTo(reader: { takes: number }) {
  const clock = new ManualClock();
  let text = "";
  let waits = 0;
  const backlog = new LogBacklog({
    clock,
    format: (line) => line,
    output: {
      write(bytes) {
        if (reader.takes <= 0) return reader.takes;
        const count = Math.min(reader.takes, bytes.length);
        reader.takes -= count;
        text += Buffer.from(bytes.subarray(0, count)).toString();
        return count;
      },
      waitUntilWritable(timeoutMs) {
        waits++;
        clock.skip(timeoutMs);
      },
    },
  });
  return { backlog, clock, text: () => text, waits: () => waits };
}

test("lines are written at once, in order, also when the reader takes parts of them", async () => {
  const reader = { takes: 6 };
  const { backlog, clock, text } = backlogTo(reader);
  backlog.write("one\n");
  backlog.write("two\n");
  backlog.write("three\n");
  expect(text()).toBe("one\ntw");
  reader.takes = Number.POSITIVE_INFINITY;
  await clock.advance(1_000);
  expect(text()).toBe("one\ntwo\nthree\n");
  expect(clock.timerCount).toBe(0);
});

test("what is beyond the limit is dropped, and its count follows what was kept", async () => {
  const reader = { takes: 0 };
  const { backlog, clock, text } = backlogTo(reader);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 1024 + 7; i++) backlog.write(line);
  await clock.advance(60_000);
  expect(text()).toBe("");
  reader.takes = MEBIBYTE - 1;
  await clock.advance(1_000);
  backlog.write("dropped too: one gap, not many\n");
  reader.takes = Number.POSITIVE_INFINITY;
  await clock.advance(1_000);
  backlog.write("after\n");
  const lines = text().trimEnd().split("\n");
  expect(lines).toHaveLength(1024 + 2);
  expect(JSON.parse(lines.at(-2)!)).toMatchObject({
    level: "warn",
    lost: 8,
    msg: "8 log lines were dropped: standard output was blocked",
  });
  expect(lines.at(-1)).toBe("after");
});

test("a full disk: lines are kept, then dropped, and the reason is logged", async () => {
  const reader = { takes: -ENOSPC };
  const { backlog, clock, text } = backlogTo(reader);
  backlog.write("x".repeat(MEBIBYTE));
  backlog.write("lost\n");
  backlog.flush(500); // does not wait for a disk
  reader.takes = Number.POSITIVE_INFINITY;
  await clock.advance(1_000);
  expect(text()).toContain("1 log line was dropped: no space left on device");
});

test("flush waits for the reader, but not for long", () => {
  const reader = { takes: 0 };
  const { backlog, clock, text, waits } = backlogTo(reader);
  backlog.write("last\n");
  const beforeMs = clock.nowMs();
  backlog.flush(500);
  expect(clock.nowMs() - beforeMs).toBe(500);
  expect(waits()).toBe(1);
  reader.takes = 100;
  backlog.flush(500);
  expect(text()).toBe("last\n");
});

test("connection records are kept up to half of the limit; other lines still have room", async () => {
  const reader = { takes: 0 };
  const { backlog, clock, text } = backlogTo(reader);
  const records = `${"r".repeat(1023)}\n`;
  for (let i = 0; i < 1024; i++) backlog.writeRecords(records, 1);
  backlog.writeRecords(records.repeat(3), 3);
  expect(backlog.loss).toEqual({ lines: 515, reason: "standard output was blocked" });
  backlog.write("a line that matters\n");
  reader.takes = Number.POSITIVE_INFINITY;
  await clock.advance(1_000);
  const lines = text().trimEnd().split("\n");
  expect(lines).toHaveLength(512 + 2);
  expect(lines[512]).toBe("a line that matters");
  expect(JSON.parse(lines[513]!)).toMatchObject({ lost: 515 });
  expect(backlog.loss).toBeNull();
  backlog.writeRecords("one\ntwo\n", 2);
  expect(text().endsWith("one\ntwo\n")).toBe(true);
});
