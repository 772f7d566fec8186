import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readStateFile, setAside, writeStateFile } from "../../../src/sys/state-file.ts";
import { tempDir } from "../../support/temp-dir.ts";

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
