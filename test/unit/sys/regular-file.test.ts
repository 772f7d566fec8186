import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createRegularFile, readersOf, readRegularFile } from "../../../src/sys/regular-file.ts";
import { tempDir } from "../../support/os/temp-dir.ts";

const read = (path: string, maxBytes = 100) => readRegularFile(path, { maxBytes, links: "follow" });

test("readRegularFile: up to the limit, and not a byte more", () => {
  using dir = tempDir();
  const path = dir.file("file");
  for (const length of [0, 1, 99, 100]) {
    writeFileSync(path, "x".repeat(length));
    expect(read(path).bytes.toString()).toBe("x".repeat(length));
  }
  writeFileSync(path, "x".repeat(101));
  expect(() => read(path)).toThrow("101 bytes: at most 100 are allowed");
});

test("readRegularFile: a file that says it has no bytes, as those of /proc, is bounded too", () => {
  expect(statSync("/proc/self/status").size).toBe(0);
  expect(read("/proc/self/status", 100_000).bytes.toString()).toContain("VmRSS");
  expect(() => read("/proc/self/status", 10)).toThrow("more than 10 bytes");
});

test("readRegularFile: a link is followed, or refused", () => {
  using dir = tempDir();
  writeFileSync(dir.file("file"), "text");
  symlinkSync("file", dir.file("link"));
  expect(read(dir.file("link")).bytes.toString()).toBe("text");
  expect(() => readRegularFile(dir.file("link"), { maxBytes: 100, links: "refuse" })).toThrow(
    "a symbolic link",
  );
});

test("readRegularFile: what is refused leaves no descriptor open", () => {
  using dir = tempDir();
  const fifo = dir.file("fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  writeFileSync(dir.file("large"), "x".repeat(101));
  const openBefore = readdirSync("/proc/self/fd").length;
  for (let round = 0; round < 50; round++) {
    for (const path of [fifo, dir.path, "/dev/zero", dir.file("large"), dir.file("none")]) {
      expect(() => read(path)).toThrow();
    }
  }
  expect(readdirSync("/proc/self/fd").length).toBeLessThan(openBefore + 50);
});

test("createRegularFile: for its owner alone; a directory in its place stays", () => {
  using dir = tempDir();
  const fd = createRegularFile(dir.file("new"));
  writeSync(fd, "text");
  expect(statSync(dir.file("new")).mode & 0o777).toBe(0o600);
  mkdirSync(dir.file("folder"));
  expect(() => createRegularFile(dir.file("folder"))).toThrow();
  expect(statSync(dir.file("folder")).isDirectory()).toBe(true);
});

test("readersOf: a group counts when this process is not in it", () => {
  using dir = tempDir();
  const path = dir.file("file");
  writeFileSync(path, "");
  const readers = (mode: number) => {
    chmodSync(path, mode);
    return readersOf(statSync(path));
  };
  expect([0o600, 0o640, 0o644, 0o604, 0o200].map(readers)).toEqual([
    "owner",
    "owner",
    "everyone",
    "everyone",
    "owner",
  ]);
  if (process.getuid!() !== 0) return;
  chownSync(path, 0, 54_321);
  expect([0o600, 0o640, 0o644].map(readers)).toEqual(["owner", "group", "everyone"]);
});
