/** The same records in each format. */
import { describe, expect, test } from "bun:test";
import { haproxyFormat } from "../../../../src/node/connection-log/haproxy-format.ts";
import { jsonFormat } from "../../../../src/node/connection-log/json-format.ts";
import { KnownTasks } from "../../../../src/node/connection-log/known-tasks.ts";
import { prettyFormat } from "../../../../src/node/connection-log/pretty-format.ts";
import { Timestamps } from "../../../../src/node/connection-log/timestamp.ts";
import { ConnectionRecord, type RecordedTask } from "../../../../src/proxy/index.ts";
import { taskText } from "../../../../src/proxy/table/connection-record.ts";
import { parseIp } from "../../../../src/wire/index.ts";

const ACCEPTED = Date.UTC(2026, 10, 28, 9, 30, 0, 7);
const LOCAL: RecordedTask = { name: "web-1", address: "10.1.0.7:80", node: null, path: "local" };
const REMOTE: RecordedTask = { name: "web-2", address: "db:80", node: "n2", path: "overlay" };

type Changes = Partial<Omit<ConnectionRecord, "client" | "peer">> & {
  client?: string;
  peer?: string;
  task?: RecordedTask | null;
};

function record({ client = "192.0.2.1", peer = client, task = LOCAL, ...changes }: Changes = {}) {
  const made = Object.assign(new ConnectionRecord(), {
    service: "web",
    published: 8080,
    listen: "0.0.0.0",
    stage: "data",
    acceptedAt: ACCEPTED,
    durationMs: 1_234.56,
    connectMs: 1.26,
    bytesIn: 79,
    bytesOut: 1050,
    attempts: 1,
    open: 9,
    serviceOpen: 4,
    taskOpen: 2,
    taskText: task === null ? "" : new TextDecoder().decode(taskText(task)),
    ...changes,
  });
  for (const [endpoint, text, port] of [
    [made.client, client, 4711],
    [made.peer, peer, peer === client ? 4711 : 99],
  ] as const) {
    const { family, bytes } = parseIp(text)!;
    endpoint.family = family;
    endpoint.bytes.set(bytes);
    endpoint.port = port;
  }
  return made;
}

describe("json", () => {
  const json = (changes?: Changes) => {
    const line = jsonFormat("n1", new KnownTasks("n1"))(record(changes));
    expect(line.endsWith("}\n")).toBe(true);
    return JSON.parse(line);
  };

  test("has everything", () => {
    expect(json()).toEqual({
      level: "info",
      time: "2026-11-28T09:30:01.241Z",
      service: "web",
      protocol: "tcp",
      published: 8080,
      listen: "0.0.0.0",
      client: "192.0.2.1:4711",
      entryNode: "n1",
      task: "web-1",
      address: "10.1.0.7:80",
      exitNode: "n1",
      path: "local",
      acceptedAt: "2026-11-28T09:30:00.007Z",
      waitMs: 0,
      connectMs: 1.3,
      durationMs: 1234.6,
      bytesIn: 79,
      bytesOut: 1050,
      reason: "done",
      state: "--",
      endedBy: null,
      phase: null,
      attempts: 1,
      retries: 0,
      hedges: 0,
      open: 9,
      openOfService: 4,
      openOfTask: 2,
      msg: "connection ended: done",
    });
  });

  test("names the node that runs the task, the path, and the address behind a PROXY header", () => {
    expect(json({ task: REMOTE, client: "2001:db8::1", peer: "10.0.0.5" })).toMatchObject({
      client: "[2001:db8::1]:4711",
      peer: "10.0.0.5:99",
      entryNode: "n1",
      task: "web-2",
      exitNode: "n2",
      path: "overlay",
    });
  });

  test("says why and where it failed", () => {
    const failed = {
      reason: "no-task",
      stage: "connect",
      errno: 111,
      connectMs: -1,
      attempts: 4,
      hedges: 1,
    } as const;
    expect(json(failed)).toMatchObject({
      reason: "no-task",
      state: "SC",
      endedBy: "task",
      phase: "connect",
      error: "connection refused",
      connectMs: null,
      attempts: 4,
      retries: 2,
      hedges: 1,
    });
    expect(json({ reason: "denied", stage: "header", task: null, waitMs: -1, attempts: 0 })).toMatchObject({
      task: null,
      address: null,
      exitNode: null,
      path: null,
      waitMs: null,
      retries: 0,
    });
  });

  test("counts the datagrams of a UDP session", () => {
    expect(json({ protocol: "udp", datagramsIn: 3, datagramsOut: 2 })).toMatchObject({
      datagramsIn: 3,
      datagramsOut: 2,
      msg: "UDP session ended: done",
    });
  });

  test("passes no name of another node on that a terminal would obey", () => {
    const line = jsonFormat(
      "n1",
      new KnownTasks("n1"),
    )(record({ task: { ...REMOTE, name: 'a"\u001b[2J\u009b' } }));
    for (const character of ["\u001b", "\u009b"]) expect(line).not.toContain(character);
    expect(JSON.parse(line).task).toContain("[2J");
  });
});

describe("haproxy", () => {
  const line = (changes?: Changes) => haproxyFormat(new KnownTasks("n1"))(record(changes));
  const accepted = line().match(/\[(.*?)\]/)![1]!;

  test("is a line of option tcplog", () => {
    expect(accepted).toMatch(/^\d\d\/Nov\/2026:\d\d:\d\d:00\.007$/);
    expect(line()).toBe(`192.0.2.1:4711 [${accepted}] web:8080 web/web-1 0/1/1235 1050 -- 9/4/4/2/0 0/0\n`);
  });

  test("has <NOSRV> and -1 for what did not happen", () => {
    const refused = {
      reason: "denied",
      stage: "header",
      task: null,
      waitMs: -1,
      connectMs: -1,
      attempts: 0,
    } as const;
    expect(line({ ...refused, client: "2001:db8::1", durationMs: 0, bytesOut: 0, taskOpen: 0 })).toBe(
      `2001:db8::1:4711 [${accepted}] web:8080 web/<NOSRV> -1/-1/0 0 PR 9/4/4/0/0 0/0\n`,
    );
  });
});

test("pretty is one line with what matters", () => {
  const line = (changes?: Changes) =>
    prettyFormat(new KnownTasks("n1"))(record(changes)).replace(/^\[.*?\] /, "");
  expect(line()).toBe(
    "INFO: web 8080/tcp: 192.0.2.1:4711 -> web-1 10.1.0.7:80, 1235 ms, 79 B in, 1050 B out: done --\n",
  );
  expect(line({ task: REMOTE, peer: "10.0.0.5", reason: "task-reset", errno: 104 })).toBe(
    "INFO: web 8080/tcp: 192.0.2.1:4711 (through 10.0.0.5:99) -> web-2 db:80 on n2 (overlay), 1235 ms, " +
      "79 B in, 1050 B out: task-reset (connection reset) SD\n",
  );
});

test("Timestamps are right on both sides of a second", () => {
  const stamps = new Timestamps((date) => date.toISOString().slice(0, 19));
  for (const ms of [0, 5.7, 42, 999.9, 1000, 1_800_000_000_099, 999])
    expect(`${stamps.text(ms)}Z`).toBe(new Date(Math.floor(ms)).toISOString());
});
