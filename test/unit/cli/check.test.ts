import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { readConfig } from "../../../src/config/index.ts";
import { runCommand } from "../../support/run-command.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";

const GOOD = '[[services]]\nname = "web"\npublish = ["80"]\ntasks = ["10.0.0.9"]\n';
const BAD = GOOD.replace('"80"', '"70000"').replace("tasks", "task");

let dir: TempDir;
let file: string;

beforeEach(() => {
  dir = tempDir();
  file = dir.file("pm.toml");
});

afterEach(() => dir[Symbol.dispose]());

describe("check", () => {
  test("a right file is ok", async () => {
    writeFileSync(file, GOOD);
    expect(await runCommand(["check", "-c", file])).toEqual({
      exitCode: 0,
      stdout: `${file}: ok\n`,
      stderr: "",
    });
    expect((await runCommand(["check", "-c", file, "--json"])).stdout).toBe("[]\n");
  });

  test("every problem of a wrong file is told with its line", async () => {
    writeFileSync(file, BAD);
    const { exitCode, stderr } = await runCommand(["check", "-c", file]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${file}:3: services[0].publish[0]: 70000 is outside 1..65535\n`);
    expect(stderr).toContain(`${file}:4: services[0].task`);
  });

  test("--json is a list of problems", async () => {
    writeFileSync(file, BAD);
    const { exitCode, stdout } = await runCommand(["check", "-c", file, "--json"]);
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)[0]).toMatchObject({
      file,
      line: 3,
      key: "services[0].publish[0]",
      value: "70000",
    });
  });

  test("a file that is not there is a problem of its own", async () => {
    const { exitCode, stderr } = await runCommand(["check", "-c", dir.file("none.toml")]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("cannot read the file: it does not exist");
  });
});

describe("config", () => {
  test.each([[[]], [["--json"]]])("with %p prints a file that means the same", async (options) => {
    writeFileSync(file, GOOD);
    const { exitCode, stdout } = await runCommand(["config", "-c", file, ...options]);
    expect(exitCode).toBe(0);
    const printed = dir.file(options.length === 0 ? "printed.toml" : "printed.json");
    writeFileSync(printed, stdout);
    expect(readConfig(printed)).toEqual(readConfig(file));
  });

  test("a wrong file is exit code 2 and no output", async () => {
    writeFileSync(file, BAD);
    const { exitCode, stdout, stderr } = await runCommand(["config", "-c", file]);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("70000 is outside 1..65535");
  });
});
