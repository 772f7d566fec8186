import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem, readConfig } from "../../../src/config/index.ts";

const folder = mkdtempSync(join(tmpdir(), "portmesh-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function problemsOfFile(path: string): string[] {
  const result = readConfig(path);
  return "problems" in result ? result.problems.map(formatProblem) : [];
}

function fileOf(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}

describe("readConfig", () => {
  test("a good file", () => {
    expect(readConfig(fileOf("good.toml", "[log]\nlevel = 'warn'"))).toMatchObject({
      config: { log: { level: "warn" } },
    });
  });

  test("a missing file says what to do", () => {
    const path = join(folder, "none.toml");
    expect(problemsOfFile(path)).toEqual([
      `${path}: cannot read the file: it does not exist: name another with -c FILE`,
    ]);
  });

  test("a directory or a device is no file", () => {
    expect(problemsOfFile(folder)).toEqual([`${folder}: not a file: name the configuration file`]);
    expect(problemsOfFile("/dev/zero")).toEqual(["/dev/zero: not a file: name the configuration file"]);
  });

  test("more than 4 MiB", () => {
    const path = fileOf("big.toml", "#".repeat(4 * 1024 * 1024 + 1));
    expect(problemsOfFile(path)).toEqual([
      `${path}: 4194305 bytes are too many: a configuration has at most 4194304`,
    ]);
  });

  test("not UTF-8", () => {
    const path = fileOf("latin1.toml", Buffer.from('[node]\nname = "\xe4"', "latin1"));
    const result = readConfig(path);
    expect(result).toMatchObject({ problems: [{ line: 2, column: 9 }] });
    expect(problemsOfFile(path)).toEqual([`${path}:2: not valid UTF-8: save the file as UTF-8`]);
  });

  test("UTF-8 with a byte order mark", () => {
    expect(problemsOfFile(fileOf("bom.toml", "\uFEFF[log]\r\nlevel = 'warn'\r\n"))).toEqual([]);
  });
});
