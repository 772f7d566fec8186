import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync } from "node:fs";
import { isNotifyAddress, monotonicMicroseconds, NotifySocket } from "../../../src/sys/notify-socket.ts";
import { FakeServiceManager } from "../../support/os/service-manager.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

let directory: TempDir;
let clock: ManualClock;
let errors: (string | null)[];

beforeEach(() => {
  directory = tempDir();
  clock = new ManualClock();
  errors = [];
});

afterEach(() => directory[Symbol.dispose]());

function connect(address: string): NotifySocket {
  return new NotifySocket({ address, clock, onError: (error) => errors.push(error) });
}

test("assignments arrive as lines, at a path and at an abstract name", () => {
  for (const address of [directory.file("notify"), `@portmesh-test-${process.pid}-${Math.random()}`]) {
    using manager = new FakeServiceManager(address);
    connect(address).send({ READY: 1, STATUS: "two\nlines" });
    manager.receive();
    expect(manager.notices).toEqual([{ READY: "1", STATUS: "two lines" }]);
  }
  expect(errors).toEqual([]);
});

test("what a full queue does not take is sent later, in order, with descriptors that live until then", async () => {
  using manager = new FakeServiceManager(directory.file("notify"));
  const notify = connect(manager.address);
  const file = openSync(directory.file("notify-file"), "w");
  const { ino } = fstatSync(file);
  for (let number = 0; number < 1_500; number++) notify.send({ FDSTORE: 1, FDNAME: number }, [file]);
  closeSync(file);
  for (let round = 0; round < 1_500 && manager.notices.length < 1_500; round++) {
    manager.receive();
    await clock.advance(50);
  }
  manager.receive();
  expect(manager.notices.map(({ FDNAME }) => Number(FDNAME))).toEqual([...Array(1_500).keys()]);
  expect(manager.stored.get("1499")!.map((fd) => fstatSync(fd).ino)).toEqual([ino]);
  expect(errors).toEqual([]);
});

test("a manager that is gone is reported once, and when it is back", () => {
  const notify = connect(directory.file("notify"));
  notify.send({ READY: 1 });
  notify.send({ READY: 1 });
  expect(errors).toEqual([`cannot notify the service manager on ${directory.file("notify")}: not found`]);
  using manager = new FakeServiceManager(directory.file("notify"));
  notify.send({ STATUS: "again" });
  manager.receive();
  expect(manager.notices).toEqual([{ STATUS: "again" }]);
  expect(errors.at(-1)).toBeNull();
});

test("addresses are paths and abstract names of at most 107 bytes", () => {
  expect(["/run/n", "@name", `/${"x".repeat(106)}`].every(isNotifyAddress)).toBe(true);
  for (const other of [undefined, "", "/", "@", "vsock:2:1234", `/${"x".repeat(107)}`])
    expect(isNotifyAddress(other)).toBe(false);
});

test("the monotonic clock is the kernel's", () => {
  const first = monotonicMicroseconds();
  expect(monotonicMicroseconds()).toBeGreaterThanOrEqual(first);
  // /proc/uptime counts the time asleep too
  expect(Number(first)).toBeGreaterThan(performance.now() * 1_000);
});
