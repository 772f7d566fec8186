import { afterEach, beforeEach, expect, test } from "bun:test";
import { ServiceManager } from "../../../src/node/service-manager.ts";
import { InheritedSockets } from "../../../src/sys/inherited-sockets.ts";
import { recordingLog } from "../../support/node/recording-log.ts";
import { FakeServiceManager, type Notice } from "../../support/os/service-manager.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const PID = 4711;

let directory: TempDir;
let systemd: FakeServiceManager;
let clock: ManualClock;
let recorded: ReturnType<typeof recordingLog>;

beforeEach(() => {
  directory = tempDir();
  systemd = new FakeServiceManager(directory.file("notify"));
  clock = new ManualClock();
  recorded = recordingLog();
});

afterEach(() => {
  systemd[Symbol.dispose]();
  directory[Symbol.dispose]();
});

function managed(
  env: Record<string, string> = {},
  takenOver: readonly string[] | null = null,
): ServiceManager {
  return new ServiceManager({
    env: { NOTIFY_SOCKET: systemd.address, ...env },
    pid: PID,
    isSuccessor: takenOver !== null,
    inherited: new InheritedSockets((takenOver ?? []).map((key) => [key, -1])),
    clock,
    log: recorded.log,
  });
}

/** What has arrived since the last call. */
function heard(): Notice[] {
  systemd.receive();
  return systemd.notices.splice(0);
}

async function pass(ms: number): Promise<void> {
  await clock.advance(ms);
}

const alive = { ping: async () => {}, summary: "serving" };

test("a node's life: waiting, serving, reloading, draining", async () => {
  const manager = managed();
  manager.waiting("waiting for 12");
  expect(heard()).toEqual([{ STATUS: "waiting for 12" }, { EXTEND_TIMEOUT_USEC: "20000000" }]);
  manager.serving({ ...alive, summary: "serving 1 service" });
  expect(heard()).toEqual([{ MAINPID: "4711", READY: "1", STATUS: "serving 1 service" }]);
  await pass(60_000);
  expect(heard()).toEqual([]); // it no longer waits
  manager.reloading();
  expect(heard()).toMatchObject([{ RELOADING: "1", MONOTONIC_USEC: expect.stringMatching(/^\d+$/) }]);
  manager.reloaded("serving 2 services");
  expect(heard()).toEqual([{ READY: "1", STATUS: "serving 2 services" }]);
  manager.draining(() => "3 left");
  expect(heard()).toEqual([{ STOPPING: "1", STATUS: "3 left" }, { EXTEND_TIMEOUT_USEC: "20000000" }]);
  await pass(5_000);
  expect(heard()).toEqual([{ STATUS: "3 left" }, { EXTEND_TIMEOUT_USEC: "20000000" }]);
  manager.reloading();
  manager.reloaded("ready");
  expect(heard()).toEqual([]); // READY=1 would end the stop
});

test("reloads that overlap are one", () => {
  const manager = managed();
  manager.reloading();
  manager.reloading();
  manager.reloaded("first");
  manager.reloaded("second");
  expect(heard()).toMatchObject([{ RELOADING: "1" }, { READY: "1", STATUS: "second" }]);
});

test("the watchdog is fed at half its time, from the moment the node serves", async () => {
  const manager = managed({ WATCHDOG_USEC: "10000000", WATCHDOG_PID: `${PID}` });
  await pass(60_000);
  expect(heard()).toEqual([]);
  manager.serving(alive);
  await pass(0);
  expect(heard().map(({ WATCHDOG }) => WATCHDOG)).toEqual([undefined, "1"]);
  for (let i = 0; i < 3; i++) {
    await pass(4_999);
    expect(heard()).toEqual([]);
    await pass(1);
    expect(heard()).toEqual([{ WATCHDOG: "1" }]);
  }
});

test("a status that has changed since goes along with the watchdog's messages, once, and not while it stops", async () => {
  const node = { ...alive };
  const manager = managed({ WATCHDOG_USEC: "10000000" });
  manager.serving(node);
  await pass(0);
  heard();
  node.summary = "serving 2 services";
  await pass(10_000);
  expect(heard()).toEqual([{ WATCHDOG: "1", STATUS: "serving 2 services" }, { WATCHDOG: "1" }]);
  manager.draining(() => "draining");
  heard();
  node.summary = "another";
  await pass(5_000);
  expect(heard()).not.toContainEqual(expect.objectContaining({ STATUS: "another" }));
});

test("a worker that hangs gets the node neither the watchdog's nor the stop's patience", async () => {
  let hang = Promise.resolve();
  const manager = managed({ WATCHDOG_USEC: "10000000" });
  manager.serving({ ...alive, ping: () => hang });
  await pass(0);
  heard();
  const { promise, resolve } = Promise.withResolvers<void>();
  hang = promise;
  for (let i = 0; i < 4; i++) await pass(5_000);
  expect(heard()).toEqual([]);
  expect(recorded.lines.filter((line) => line.includes("does not respond"))).toHaveLength(1);
  manager.draining(() => "draining");
  heard();
  await pass(20_000);
  expect(heard()).toEqual([]);
  resolve();
  await pass(0);
  expect(heard()).toContainEqual({ WATCHDOG: "1" });
});

test("a watchdog meant for another process is fed only by a successor", async () => {
  const env = { WATCHDOG_USEC: "10000000", WATCHDOG_PID: "1" };
  managed(env).serving(alive);
  await pass(60_000);
  expect(heard()).toHaveLength(1);
  managed(env, []).serving(alive);
  await pass(0);
  expect(heard()).toHaveLength(2);
});

test("sockets of the predecessor that the successor does not use leave the store", () => {
  const manager = managed({}, ["tcp:*:80:0", "tcp:*:81:0"]);
  manager.stores([["tcp:*:80:0", 0]]);
  manager.becomesMain();
  manager.serving(alive);
  expect(heard().map(({ FDSTOREREMOVE, FDNAME, MAINPID }) => [FDSTOREREMOVE, FDNAME, MAINPID])).toEqual([
    [undefined, "tcp%3A*%3A80%3A0", undefined],
    [undefined, undefined, "4711"],
    [undefined, undefined, "4711"],
    ["1", "tcp%3A*%3A81%3A0", undefined],
  ]);
});

test("a process that has handed over is silent", async () => {
  const manager = managed({ WATCHDOG_USEC: "10000000" });
  manager.serving(alive);
  await pass(0);
  heard();
  manager.silence();
  manager.draining(() => "draining");
  manager.reloading();
  await pass(60_000);
  expect(heard()).toEqual([]);
});

test("without a service manager nothing is sent; an address that is none is logged", () => {
  const none = new ServiceManager({
    env: {},
    pid: PID,
    isSuccessor: false,
    inherited: new InheritedSockets(),
    clock,
    log: recorded.log,
  });
  none.serving(alive);
  none.draining(() => "draining");
  expect(recorded.lines).toEqual([]);
  managed({ NOTIFY_SOCKET: "vsock:2:1234" }).serving(alive);
  expect(recorded.lines.join()).toContain("NOTIFY_SOCKET=vsock:2:1234");
  expect(heard()).toEqual([]);
});
