import { expect, test } from "bun:test";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MAX_STATE_BYTES, readStateFile, setAside, writeStateFile } from "../../../src/sys/state-file.ts";
import { tempDir } from "../../support/os/temp-dir.ts";

test("what is written is read, in a directory made for it, by its owner alone", () => {
  using directory = tempDir();
  const path = directory.file("a/b/state");
  expect(readStateFile(path)).toBeNull();
  writeStateFile(path, "one");
  writeStateFile(path, "two");
  expect(readStateFile(path)).toBe("two");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(path, ".."))).toEqual(["state"]);
});

test("when it cannot be written the old one stays and nothing lies about", () => {
  using directory = tempDir();
  const path = directory.file("state");
  writeStateFile(path, "old");
  mkdirSync(directory.file("state.new")); // in the way
  expect(() => writeStateFile(path, "new")).toThrow();
  expect(readStateFile(path)).toBe("old");
});

test("a damaged file is set aside, not lost", () => {
  using directory = tempDir();
  const path = directory.file("state");
  writeStateFile(path, "rubbish");
  expect(readFileSync(setAside(path), "utf8")).toBe("rubbish");
  expect(readStateFile(path)).toBeNull();
});

const inTheWay: [string, (path: string, victim: string) => unknown][] = [
  ["a symbolic link", (path, victim) => symlinkSync(victim, path)],
  ["a link to nothing", (path) => symlinkSync("/nowhere/at/all", path)],
  ["a hard link", (path, victim) => linkSync(victim, path)],
  ["a pipe", (path) => Bun.spawnSync(["mkfifo", path])],
  ["a link to a device", (path) => symlinkSync("/dev/zero", path)],
  ["another's file", (path) => writeFileSync(path, "rubbish", { mode: 0o666 })],
];

test.each(inTheWay)("%s in the place of the new file is replaced, its target is not touched", (_, put) => {
  using directory = tempDir();
  const [path, victim] = [directory.file("state"), directory.file("victim")];
  writeFileSync(victim, "precious");
  put(`${path}.new`, victim);
  writeStateFile(path, "new");
  expect(readStateFile(path)).toBe("new");
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(victim, "utf8")).toBe("precious");
});

test.each(
  inTheWay.filter(([what]) => what.includes("link to") || what.startsWith("a symbolic") || what === "a pipe"),
)("%s in the place of the file is refused at once, and replaced by the next write", (_, put) => {
  using directory = tempDir();
  const [path, victim] = [directory.file("state"), directory.file("victim")];
  writeFileSync(victim, "precious");
  put(path, victim);
  expect(() => readStateFile(path)).toThrow("not a regular file");
  writeStateFile(path, "new");
  expect([readStateFile(path), readFileSync(victim, "utf8")]).toEqual(["new", "precious"]);
});

test("more than the limit is neither read nor written", () => {
  using directory = tempDir();
  const path = directory.file("state");
  writeFileSync(path, "");
  truncateSync(path, 2 ** 40);
  expect(() => readStateFile(path)).toThrow("1099511627776 bytes");
  writeStateFile(path, "small");
  expect(() => writeStateFile(path, " ".repeat(MAX_STATE_BYTES + 1))).toThrow("at most");
  expect(readStateFile(path)).toBe("small");
});
