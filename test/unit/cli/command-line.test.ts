import { describe, expect, test } from "bun:test";
import packageJson from "../../../package.json" with { type: "json" };
import { runCommand } from "../../support/node/run-command.ts";

const COMMANDS = [
  ...["run", "demo", "check", "config", "reload", "status"],
  ...["service", "task", "node", "trace", "doctor", "keygen", "completion", "version"],
];
const NESTED = [
  ...["create", "update", "inspect", "ls", "ps", "rm"].map((verb) => `service ${verb}`),
  ...["add", "rm", "drain", "resume"].map((verb) => `task ${verb}`),
  ...["ls", "drain", "resume", "forget"].map((verb) => `node ${verb}`),
];

describe("usage", () => {
  test.each([
    [[], "Usage: portmesh"],
    [["fly"], "unknown command 'fly'"],
    [["stauts"], "Did you mean status?"],
    [["status", "--shiny"], "unknown option '--shiny'"],
    [["check", "-c"], "argument missing"],
    [["service"], "Usage: portmesh service"],
    [["service", "creat"], "Did you mean create?"],
    [["task", "add", "web"], "missing required argument 'address'"],
  ])("%p is wrong usage: exit code 2, and standard error says why", async (argv, message) => {
    const { exitCode, stdout, stderr } = await runCommand(argv);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
  });

  test("--help lists every command", async () => {
    const { exitCode, stdout } = await runCommand(["--help"]);
    expect(exitCode).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(`  ${command} `);
  });

  test.each([...COMMANDS, ...NESTED])("%s --help exits 0 and fits 110 columns", async (command) => {
    const { exitCode, stdout } = await runCommand([...command.split(" "), "--help"]);
    expect(exitCode).toBe(0);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(110);
  });
});

describe("version", () => {
  test.each([["--version"], ["-V"]])("%s prints the number alone", async (option) => {
    expect(await runCommand([option])).toMatchObject({ exitCode: 0, stdout: `${packageJson.version}\n` });
  });

  test("version --json is for programs", async () => {
    const { stdout } = await runCommand(["version", "--json"]);
    const about = JSON.parse(stdout);
    expect(about).toMatchObject({ version: packageJson.version, bun: Bun.version, target: null });
    expect(about).toMatchObject({ commit: null, architecture: process.arch });
    expect(about.cLibrary).toMatch(/^(?:glibc \d+\.\d+|musl)$/);
  });

  test("version prints what a bug report needs, on one line", async () => {
    const { stdout } = await runCommand(["version"]);
    expect(stdout).toMatch(
      /^portmesh \S+ \(from source\) linux-(?:x64|arm64), (?:glibc \d+\.\d+|musl), bun \S+\n$/,
    );
  });

  test("version --licenses from source says where they are", async () => {
    const { exitCode, stderr } = await runCommand(["version", "--licenses"]);
    expect(exitCode).toBe(1);
    expect(stderr).toBe("the licenses are part of the executable: npm run build\n");
  });
});
