import { describe, expect, test } from "bun:test";
import { type ConfigCheck, formatProblem, parseConfig } from "../../../src/config/index.ts";
import { checkConfig } from "../../../src/node/config-check.ts";

function problems(toml: string, check: ConfigCheck = checkConfig): string[] {
  const result = parseConfig(`[proxy]\nworkers = 2\n${toml}`, "test.toml", check);
  return "problems" in result ? result.problems.map(formatProblem) : [];
}

function service(name: string, publish: string, task: string, ...lines: string[]): string {
  return [
    `[[services]]`,
    `name = "${name}"`,
    `publish = ["${publish}"]`,
    `tasks = ["${task}"]`,
    ...lines,
    "",
  ].join("\n");
}

describe("checkConfig refuses", () => {
  test("tasks that name each other's ports, with the way and the line", () => {
    const found = problems(service("a", "8080", "127.0.0.1:8081") + service("b", "8081", "[::1]:8080"));
    expect(found).toHaveLength(2);
    expect(found[0]).toStartWith(
      "test.toml:6: services[0].tasks[0]: task 127.0.0.1:8081 loops back to its own published port: " +
        "8080/tcp -> 127.0.0.1:8081 (b on ",
    );
    expect(found[0]).toContain(" -> [::1]:8080 (a on ");
    expect(found[1]).toStartWith("test.toml:10: services[1].tasks[0]: task [::1]:8080 loops back");
  });

  test("ports that share a task with the only addresses they are bound to", () => {
    const bind = 'bind = ["127.0.0.1"]';
    expect(problems(service("db", "5432", "127.0.0.1", bind))).toEqual([
      "test.toml:6: services[0].tasks: no address is left to listen on for 5432/tcp: tasks use this port at 127.0.0.1; " +
        "bind to another address, or publish another port",
    ]);
    expect(problems(service("db", "5432", "127.0.0.1", 'bind = ["127.0.0.1", "127.0.0.2"]'))).toEqual([]);
    expect(problems(service("db", "5433:5432", "127.0.0.1", bind))).toEqual([]);
  });
});

test.each([
  ["a task that has its own published port at this machine", service("db", "5432", "127.0.0.1")],
  ["a chain", service("a", "8080", "127.0.0.1:8081") + service("b", "8081", "127.0.0.1:9000")],
  [
    "the same ports of both protocols",
    service("a", "80:81", "127.0.0.1") + service("b", "81:80/udp", "127.0.0.1"),
  ],
])("checkConfig takes %s", (_, toml) => {
  expect(problems(toml)).toEqual([]);
});

test("a check is not asked about a file that is wrong already", () => {
  expect(problems("[log]\nlevel = 1\n", () => expect.unreachable())).toHaveLength(1);
});
