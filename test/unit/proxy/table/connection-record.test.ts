import { describe, expect, test } from "bun:test";
import { createRecordRing, RecordReader } from "../../../../src/proxy/record-reader.ts";
import {
  ConnectionRecorder,
  END_REASONS,
  type EndReason,
  type RecordRule,
  STAGE_DATA,
  taskText,
} from "../../../../src/proxy/table/connection-record.ts";
import { parseIp } from "../../../../src/wire/index.ts";
import { RecordCollector } from "../../../support/proxy/record-collector.ts";

const TASK = { name: "web-1", address: "[2001:db8::7]:80", node: "n2", path: "overlay" } as const;

function endpoint(text: string, port: number) {
  const { family, bytes } = parseIp(text)!;
  return { family, bytes, offset: 0, port };
}

function recorderTo(ring: SharedArrayBuffer, rule: RecordRule = { errors: true, every: 1 }) {
  const calls: string[] = [];
  const recorder = new ConnectionRecorder(
    ring,
    () => calls.push("first"),
    () => calls.push("filling"),
  );
  recorder.rule = rule;
  recorder.end.client = recorder.end.peer = endpoint("192.0.2.1", 4711);
  return { recorder, calls };
}

describe("a record", () => {
  test("arrives as it was written", () => {
    const collector = new RecordCollector();
    const { recorder } = recorderTo(collector.ring);
    const values = {
      reason: "task-reset",
      errno: 104,
      published: 65_535,
      acceptedAt: 1_800_000_000_123.5,
      waitMs: 0.25,
      connectMs: -1,
      durationMs: 86_400_000.5,
      bytesIn: 2 ** 40 + 1,
      bytesOut: 2 ** 52,
      datagramsIn: 3,
      datagramsOut: 4,
      attempts: 3,
      hedges: 2,
      open: 7,
      serviceOpen: 6,
      taskOpen: 5,
    } as const;
    const encoder = new TextEncoder();
    Object.assign(recorder.end, values, {
      isUdp: true,
      stage: STAGE_DATA,
      client: endpoint("2001:db8::1", 65_535),
      peer: endpoint("203.0.113.9", 1),
      service: encoder.encode("web"),
      listen: encoder.encode("::"),
      task: taskText(TASK),
    });
    recorder.write();
    expect(collector.take()).toEqual([
      {
        ...values,
        protocol: "udp",
        service: "web",
        listen: "::",
        stage: "data",
        client: "[2001:db8::1]:65535",
        peer: "203.0.113.9:1",
        task: TASK,
      },
    ]);
  });

  test("of every reason keeps it", () => {
    const collector = new RecordCollector();
    const { recorder } = recorderTo(collector.ring);
    for (const reason of END_REASONS) {
      recorder.end.reason = reason;
      recorder.write();
    }
    expect(collector.take().map(({ reason, task }) => [reason, task])).toEqual(
      END_REASONS.map((reason) => [reason, null]),
    );
  });
});

describe("ConnectionRecorder", () => {
  const kept = (rule: RecordRule, ...reasons: EndReason[]) => {
    const { recorder } = recorderTo(createRecordRing(), rule);
    return reasons.filter((reason) => recorder.wants(reason));
  };

  test("records what its rule says", () => {
    const all: EndReason[] = ["done", "denied", "handed-over", "idle"];
    expect(kept({ errors: false, every: 0 }, ...all)).toEqual([]);
    expect(kept({ errors: true, every: 0 }, ...all)).toEqual(["denied", "idle"]);
    expect(kept({ errors: true, every: 1 }, ...all)).toEqual(all);
  });

  test("samples what ended in order, and every error", () => {
    const { recorder } = recorderTo(createRecordRing(), { errors: true, every: 10 });
    const done = Array.from({ length: 1000 }, () => recorder.wants("done")).filter(Boolean);
    const failed = Array.from({ length: 50 }, () => recorder.wants("no-task")).filter(Boolean);
    expect([done.length, failed.length]).toEqual([100, 50]);
  });

  test("says once that there are records, and once that the ring fills, until the reader is notified", () => {
    const { recorder, calls } = recorderTo(createRecordRing());
    recorder.write();
    recorder.write();
    expect(calls).toEqual(["first"]);
    for (let i = 0; i < 5_000; i++) recorder.write();
    expect(calls).toEqual(["first", "filling"]);
    recorder.onNotified();
    expect(recorder.isPending).toBe(false);
    recorder.write();
    expect(calls).toEqual(["first", "filling", "first", "filling"]);
  });

  test("a reader that does not come costs records, which are counted", () => {
    const collector = new RecordCollector();
    const { recorder } = recorderTo(collector.ring);
    for (let i = 0; i < 50_000; i++) recorder.write();
    const { length } = collector.take();
    expect(length).toBeGreaterThan(5_000);
    expect(length + collector.lost).toBe(50_000);
  });
});

test("RecordReader reads in portions, all workers' rings, and flushes after each portion", async () => {
  const rings = [createRecordRing(), createRecordRing()];
  for (const ring of rings) {
    const { recorder } = recorderTo(ring);
    for (let i = 0; i < 1_000; i++) recorder.write();
  }
  const portions: number[] = [];
  let count = 0;
  const finished = Promise.withResolvers<void>();
  const reader = new RecordReader(rings, {
    admit: () => true,
    add: () => count++,
    onLost: () => {},
    flush: () => {
      portions.push(count);
      if (count === 2_000) finished.resolve();
    },
  });
  reader.read();
  reader.read();
  expect(count).toBeLessThan(1_000);
  await finished.promise;
  expect(portions.length).toBeGreaterThan(3);
});

test("RecordReader skips what the sink does not admit", () => {
  const ring = createRecordRing();
  const { recorder } = recorderTo(ring);
  for (let i = 0; i < 10; i++) recorder.write();
  let left = 3;
  let added = 0;
  const sink = { admit: () => left-- > 0, add: () => added++, onLost: () => {}, flush: () => {} };
  new RecordReader([ring], sink).readAll();
  expect([added, left]).toEqual([3, -7]);
});
