import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { readConfig } from "../../../../src/config/index.ts";
import { runCommand } from "../../../support/node/run-command.ts";
import { type TempDir, tempDir } from "../../../support/os/temp-dir.ts";

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

  test("every problem of an invalid file is reported with its line", async () => {
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

describe("check: who can read cluster.keys", () => {
  const WITH_KEYS = `[cluster]\nkeys = ["${Buffer.alloc(32, 7).toString("base64")}"]\n`;
  const OTHER_GROUP = 54_321;

  async function warningsOf(text: string, mode: number, group?: number): Promise<string> {
    writeFileSync(file, text);
    if (group !== undefined) chownSync(file, process.getuid!(), group);
    chmodSync(file, mode);
    const { exitCode, stdout, stderr } = await runCommand(["check", "-c", file]);
    expect([exitCode, stdout]).toEqual([0, `${file}: ok\n`]);
    expect((await runCommand(["check", "-c", file, "--json"])).stdout).toBe("[]\n");
    return stderr;
  }

  test("everybody: a warning with the command to run, which ends it", async () => {
    const warning = `warning: ${file}: every user of this machine can read cluster.keys: chmod o-r ${file}\n`;
    expect(await warningsOf(WITH_KEYS, 0o644)).toBe(warning);
    expect(await warningsOf(WITH_KEYS, 0o604)).toBe(warning);
    await Bun.$`chmod o-r ${file}`;
    expect((await runCommand(["check", "-c", file])).stderr).toBe("");
  });

  test("the owner, or the group of the node: no warning; nor is there without keys", async () => {
    expect(await warningsOf(WITH_KEYS, 0o600)).toBe("");
    expect(await warningsOf(WITH_KEYS, 0o640)).toBe("");
    expect(await warningsOf(GOOD, 0o644)).toBe("");
    expect(await warningsOf('[cluster]\nbind = "127.0.0.1"', 0o644)).toBe("");
  });

  test.skipIf(process.getuid!() !== 0)("another group: a warning", async () => {
    expect(await warningsOf(WITH_KEYS, 0o640, OTHER_GROUP)).toContain(`chmod g-r ${file}\n`);
    expect(await warningsOf(WITH_KEYS, 0o600, OTHER_GROUP)).toBe("");
  });

  test("a path with blanks is quoted in the command", async () => {
    file = dir.file("it's mine.toml");
    expect(await warningsOf(WITH_KEYS, 0o644)).toContain(`chmod o-r '${file.replace("'", "'\\''")}'\n`);
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

describe("variables and standard input", () => {
  test("check and config replace variables by those of their environment", async () => {
    writeFileSync(file, GOOD.replace('"80"', '"${PORT}"'));
    expect((await runCommand(["check", "-c", file])).stderr).toBe(
      `${file}:3: services[0].publish[0]: environment variable PORT is not set: ` +
        "set it before portmesh starts, or write ${PORT:-default}\n",
    );
    expect((await runCommand(["check", "-c", file], { PORT: "81" })).exitCode).toBe(0);
    expect((await runCommand(["config", "-c", file], { PORT: "81" })).stdout).toContain('"81:81/tcp"');
  });

  test("config masks a secret from the environment", async () => {
    writeFileSync(file, `[node]\nlabels = { a = "\${API_TOKEN}" }\n${GOOD}`);
    const { exitCode, stdout } = await runCommand(["config", "-c", file], { API_TOKEN: "hunter2-hunter2" });
    expect([exitCode, stdout.includes("hunter2")]).toEqual([0, false]);
    expect(stdout).toContain('a = "***"');
  });

  /** The command as a process, with this text on its standard input. */
  function withInput(text: string, ...argv: string[]) {
    const result = Bun.spawnSync([process.execPath, "src/main.ts", ...argv], {
      stdin: Buffer.from(text),
      env: {},
    });
    return { exitCode: result.exitCode, stdout: result.stdout.toString(), stderr: result.stderr.toString() };
  }

  test("-c - reads standard input, TOML or JSON", () => {
    expect(withInput(GOOD, "check", "-c", "-")).toEqual({
      exitCode: 0,
      stdout: "standard input: ok\n",
      stderr: "",
    });
    expect(withInput('\n {"services": []}', "check", "-c", "-").stdout).toBe("standard input: ok\n");
    expect(withInput(GOOD, "config", "-c", "-", "--json").stdout).toContain('"name": "web"');
    const { exitCode, stderr } = withInput(BAD, "check", "-c", "-");
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining("standard input:3: services[0].publish[0]: 70000"),
    ]);
  }, 30_000);

  test("empty, endless or not UTF-8 standard input is a problem; run refuses it", () => {
    expect(withInput("", "check", "-c", "-").stderr).toStartWith("standard input: empty: it sets no key");
    const endless = Bun.spawnSync(["sh", "-c", `"$0" src/main.ts check -c - < /dev/zero`, process.execPath], {
      env: {},
    });
    expect([endless.exitCode, endless.stderr.toString()]).toEqual([
      2,
      expect.stringContaining("4194304 bytes"),
    ]);
    expect(withInput(GOOD, "run", "-c", "-")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("save it to a file"),
    });
  }, 30_000);
});
