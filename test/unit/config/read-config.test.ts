import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
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
      `${path}: cannot read the file: it does not exist: restore it, or name another with -c FILE`,
    ]);
  });

  test("what is not a regular file is refused at once, and says what it is", async () => {
    const [fifo, socket, link] = [join(folder, "fifo"), join(folder, "socket"), join(folder, "link")];
    Bun.spawnSync(["mkfifo", fifo]);
    symlinkSync("/dev/zero", link);
    using _server = Bun.listen({ unix: socket, socket: { data() {} } });
    for (const [path, kind] of [
      [folder, "directory"],
      [fifo, "pipe"],
      [socket, "socket"],
      ["/dev/zero", "device"],
      [link, "device"],
    ] as const) {
      expect(problemsOfFile(path)).toEqual([
        `${path}: cannot read the file: it is a ${kind}, not a regular file: save the configuration to a file`,
      ]);
    }
  });

  test("links that form a loop", () => {
    const path = join(folder, "circle");
    symlinkSync("circle", path);
    expect(problemsOfFile(path)).toEqual([`${path}: cannot read the file: its symbolic links form a loop`]);
  });

  test("more than 4 MiB, also 1 TiB with nothing in it", () => {
    for (const bytes of [4 * 1024 * 1024 + 1, 2 ** 40]) {
      const path = fileOf("big.toml", "");
      truncateSync(path, bytes);
      expect(problemsOfFile(path)).toEqual([
        `${path}: cannot read the file: ${bytes} bytes: at most 4194304 are allowed`,
      ]);
    }
  });

  test("a file without a size is read to its end", () => {
    expect(problemsOfFile("/proc/self/status").join()).toContain("cannot parse TOML");
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
