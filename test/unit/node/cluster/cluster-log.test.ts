import { beforeEach, describe, expect, test } from "bun:test";
import type { MemberEvent } from "../../../../src/membership/index.ts";
import { ClusterLog } from "../../../../src/node/cluster/cluster-log.ts";
import { recordingLog } from "../../../support/node/recording-log.ts";
import { ManualClock } from "../../../support/time/manual-clock.ts";

const AT = { ip: Uint8Array.of(10, 0, 0, 2), port: 7946 };
const OTHER = { ip: Uint8Array.of(10, 0, 0, 3), port: 7946 };
const IPV6 = { ip: new Uint8Array(16).fill(0xfd, 0, 1).fill(3, 15), port: 7946 };

let clock: ManualClock;
let lines: string[];
let log: ClusterLog;

beforeEach(() => {
  clock = new ManualClock();
  const recording = recordingLog();
  lines = recording.lines;
  log = new ClusterLog(recording.log, clock);
});

test("records of a newer version: which, whose, and what to do", () => {
  log.unreadable({ kind: "task", key: "web\0x", node: "b" });
  log.unreadable({ kind: "unknown 7", key: "", node: "c" });
  expect(lines).toEqual([
    'warn node b writes records that this version cannot read, first task "web x": ' +
      "they are kept and passed on, and not used here; upgrade portmesh on this node",
    "warn node c writes records that this version cannot read, first unknown 7: " +
      "they are kept and passed on, and not used here; upgrade portmesh on this node",
  ]);
});

function tell(event: MemberEvent): string[] {
  const before = lines.length;
  log.member(event, "10.0.0.2:7946");
  return lines.slice(before);
}

test.each<[MemberEvent, string]>([
  [{ type: "joined", name: "b" }, "info node b is alive"],
  [{ type: "cleared", name: "b" }, "info node b answers again"],
  [{ type: "suspected", name: "b" }, "warn node b does not answer"],
  [{ type: "failed", name: "b" }, "warn node b has failed"],
  [{ type: "left", name: "b" }, "info node b has left"],
])("%#: told each time", (event, line) => {
  expect([...tell(event), ...tell(event)]).toEqual([line, line]);
});

test.each<[MemberEvent, string]>([
  [
    { type: "refuted", by: "b" },
    "warn node b declared this node dead; refuted: this node or the network was too slow",
  ],
  [
    { type: "conflict", name: "b", known: AT, other: IPV6 },
    "error two nodes are named b: 10.0.0.2:7946 and [fd00::3]:7946; change node.name on one of them",
  ],
  [
    { type: "other-cluster", name: "b", cluster: "test", address: OTHER },
    'error refused node b (10.0.0.3:7946): it belongs to cluster "test"; compare cluster.name on both nodes',
  ],
  [
    { type: "incompatible", name: "b", reason: "its versions are [9]" },
    "error refused node b: incompatible protocol: its versions are [9]",
  ],
  [
    { type: "udp-broken", name: "b" },
    "warn node b answers over TCP but not over UDP: is UDP blocked between the nodes?",
  ],
  [{ type: "peer-error", text: "no" }, "error another node refused this one: no"],
])("%#: told once a minute", async (event, line) => {
  expect([...tell(event), ...tell(event)]).toEqual([line]);
  await clock.advance(59_999);
  expect(tell(event)).toEqual([]);
  await clock.advance(1);
  expect(tell(event)).toEqual([line]);
});

test("one node's trouble does not hide another's", () => {
  expect(
    [...tell({ type: "udp-broken", name: "b" }), ...tell({ type: "udp-broken", name: "c" })].length,
  ).toBe(2);
});

test("what others may choose at will does not fill the log", () => {
  for (let count = 0; count < 100; count++) {
    tell({ type: "peer-error", text: `no ${count}` });
    tell({ type: "other-cluster", name: `n${count}`, cluster: "test", address: OTHER });
  }
  expect(lines.length).toBe(2);
});

test("events of no use to an operator are not logged", () => {
  const quiet: MemberEvent[] = [
    { type: "updated", name: "b" },
    { type: "forgotten", name: "b" },
    { type: "exchanged", with: AT, isMerged: true },
    { type: "may-close" },
  ];
  expect(quiet.flatMap(tell)).toEqual([]);
});

describe("what cannot be opened is explained", () => {
  test.each([
    [
      "cannot-decrypt",
      "it is encrypted with a key that this node does not have: compare cluster.keys on both nodes",
    ],
    ["not-encrypted", "it is not encrypted, but this node has keys: compare cluster.keys on both nodes"],
    ["encrypted", "it is encrypted, but this node has no keys: compare cluster.keys on both nodes"],
    ["crc", "it is damaged or uses another protocol"],
  ])("%s", (reason, why) => {
    log.dropped(reason, "10.0.0.2");
    expect(lines).toEqual([`warn cannot decode gossip from 10.0.0.2: ${why}`]);
  });
});

test("what is kept says what is at stake", () => {
  log.store("cannot write /d/state: EROFS");
  log.store(null);
  log.damaged("/d/state.damaged", "cannot restore the catalog: its checksum is wrong");
  expect(lines).toEqual([
    "error cannot write /d/state: EROFS: services and tasks created by command will not survive a restart",
    "info the state file is writable again",
    "error cannot restore the catalog: its checksum is wrong; the old state file was moved to /d/state.damaged",
  ]);
});

test.each<[MemberEvent["type"], string]>([
  ["joined", "nodes are alive"],
  ["cleared", "nodes answer again"],
  ["suspected", "nodes do not answer"],
  ["failed", "nodes have failed"],
  ["left", "nodes have left"],
])("%s: of thousands of made-up names some are told, the others summed up", async (type, text) => {
  for (let i = 0; i < 5_000; i++) log.member({ type, name: `made-up-${i}` } as MemberEvent, "10.0.0.2:7946");
  expect(lines).toHaveLength(100);
  await clock.advance(10_000);
  expect(lines[100]).toBe(`warn 4900 more ${text}: too many to log one by one`);
  for (let i = 0; i < 5_000; i++) log.member({ type, name: `made-up-${i}` } as MemberEvent, "10.0.0.2:7946");
  expect(lines).toHaveLength(111);
});

test("nor do invented names of events that are logged once a minute each fill the log", () => {
  const made = Array.from({ length: 5_000 }, (_, i) => `made-up-${i}`);
  for (const name of made) {
    tell({ type: "conflict", name, known: AT, other: OTHER });
    tell({ type: "incompatible", name, reason: "no" });
    tell({ type: "other-cluster", name, cluster: name, address: AT });
    tell({ type: "refuted", by: name });
    tell({ type: "too-many", name, members: 12_000 });
  }
  expect(lines.length).toBeLessThanOrEqual(4 * 100 + 1);
});
