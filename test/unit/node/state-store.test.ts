import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { StateStore } from "../../../src/node/state-store.ts";
import { type TempDir, tempDir } from "../../support/os/temp-dir.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

let dir: TempDir;
let clock: ManualClock;
let told: (string | null)[];
let snapshots: number;
let revision: number;
let store: StateStore;

beforeEach(() => {
  dir = tempDir();
  clock = new ManualClock();
  [told, snapshots, revision] = [[], 0, 0];
  store = new StateStore({
    directory: dir.file("data"),
    clock,
    snapshot: () => `snapshot ${++snapshots}`,
    onError: (error) => told.push(error),
  });
});

afterEach(() => dir[Symbol.dispose]());

/** Something that must survive. */
function change(): void {
  store.follow({ isFileKnown: true, members: {} }, ++revision);
}

/** A file where the directory should be: also root cannot write there. */
function block(): void {
  rmSync(dir.file("data"), { recursive: true, force: true });
  writeFileSync(dir.file("data"), "");
}

test("a burst of changes is written once", async () => {
  for (let i = 0; i < 50; i++) change();
  expect(snapshots).toBe(0);
  await clock.advance(500);
  expect([store.read(), snapshots]).toEqual(["snapshot 1", 1]);
  change();
  await clock.advance(500);
  expect(store.read()).toBe("snapshot 2");
});

test("write: at once, and what waited is done with it", async () => {
  change();
  store.write();
  expect(store.read()).toBe("snapshot 1");
  await clock.advance(10_000);
  expect(snapshots).toBe(1);
});

test("close writes what waits, and nothing otherwise; twice is once", () => {
  store.close();
  expect(existsSync(store.path)).toBe(false);
  change();
  store.close();
  store.close();
  expect([store.read(), snapshots, clock.timerCount]).toEqual(["snapshot 1", 1, 0]);
});

test("nothing there is no error", () => {
  expect([store.read(), told]).toEqual([null, []]);
});

test("an error is logged once, each change tries again, and success is logged", async () => {
  block();
  for (let attempt = 0; attempt < 3; attempt++) {
    change();
    await clock.advance(500);
  }
  expect(snapshots).toBe(3);
  expect(told.length).toBe(1);
  expect(told[0]).toStartWith(`cannot write ${store.path}: `);
  expect(store.error).toBe(told[0]!);
  rmSync(dir.file("data"));
  change();
  await clock.advance(500);
  expect([told.slice(1), store.error, store.read()]).toEqual([[null], null, "snapshot 4"]);
});

test("setAside: the file is kept under another name", () => {
  store.write();
  const aside = store.setAside();
  expect([store.read(), readFileSync(aside, "utf8")]).toEqual([null, "snapshot 1"]);
  expect(store.setAside()).toBe(store.path); // nothing to set aside
});

test("an unreadable file is logged and set aside before the next write", () => {
  mkdirSync(store.path, { recursive: true }); // reading it fails, whoever asks
  expect(store.read()).toBeNull();
  expect(told[0]).toStartWith(`cannot read ${store.path}: `);
  store.write();
  expect([store.read(), told[1]]).toEqual(["snapshot 1", null]);
  expect(existsSync(`${dirname(store.path)}/state.damaged`)).toBe(true);
});

function anotherStore(): StateStore {
  return new StateStore({ directory: dir.file("data"), clock, snapshot: () => "another", onError: () => {} });
}

test("a directory that is removed and made again belongs to the node that made it", () => {
  store.lock();
  expect(store.writeText("mine")).toBeNull();
  rmSync(dir.file("data"), { recursive: true });
  expect(store.writeText("mine again")).toBeNull();
  expect(() => anotherStore().lock()).toThrow(
    `the node with process id ${process.pid} keeps its state there`,
  );
  expect(store.read()).toBe("mine again");
});

test("a directory that another node has made in the meantime is left to it", () => {
  store.lock();
  rmSync(dir.file("data"), { recursive: true });
  const other = anotherStore();
  other.lock();
  expect(other.writeText("another's")).toBeNull();
  for (let attempt = 0; attempt < 2; attempt++)
    expect(store.writeText("mine")).toContain("keeps its state there");
  expect(other.read()).toBe("another's");
  other.close();
  expect(store.writeText("mine")).toBeNull();
});
