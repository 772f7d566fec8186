import { describe, expect, test } from "bun:test";
import { runCommand } from "../../support/node/run-command.ts";

/** No node answers there. */
const ENV = { PORTMESH_SOCKET: "/nonexistent/portmesh.sock" };

async function offers(...words: string[]): Promise<string[]> {
  const { exitCode, stdout, stderr } = await runCommand(["__complete", "--", ...words], ENV);
  expect([exitCode, stderr]).toEqual([0, ""]);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t")[0]!);
}

describe("what a word can be", () => {
  test.each([
    [["stat"], ["words", "status"]],
    [["--vers"], ["words", "--version"]],
    [
      ["node", "dr"],
      ["words", "drain"],
    ],
    [
      ["node", "drain", "--so"],
      ["words", "--socket"],
    ],
    [["help", "serv"], ["words"]],
    [
      ["service", "create", "--publish", "80:80", "--prefer", "z"],
      ["words", "zone"],
    ],
    [
      ["service", "create", "-p", "80:80", "--udp-mode=pa"],
      ["words", "--udp-mode=packet"],
    ],
    [["service", "create", "-p80:80", "--name", ""], ["words"]],
    [["service", "create", "--replicas", "--al"], ["words"]],
    [["run", "-c", ""], ["files"]],
    [["run", "--config", "/etc/po"], ["files"]],
    [["run", "--config=/etc/po"], ["files"]],
    [["status", "--socket", ""], ["files"]],
    [
      ["completion", ""],
      ["words", "bash", "zsh", "fish"],
    ],
    [["completion", "bash", ""], ["words"]],
    [["service", "rm", "--", "--js"], ["words"]],
    [["nonsense", ""], ["words"]],
    [["__comp"], ["words"]],
    [["\0", "\u001b[2J"], ["words"]],
  ])("%p", async (words, expected) => {
    expect(await offers(...words)).toEqual(expected);
  });

  test("every command is offered, with its summary", async () => {
    const { stdout } = await runCommand(["__complete", "--", ""], ENV);
    expect(stdout).toContain("run\trun the node in the foreground\n");
  });

  test("hidden options are not offered, but their values are skipped", async () => {
    expect(await offers("service", "create", "--mo")).toEqual(["words"]);
    expect(await offers("service", "update", "--network", "one", "--task-a")).toEqual([
      "words",
      "--task-add",
    ]);
  });
});
