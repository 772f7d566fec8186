/** Files far larger or more wrong than any a person writes: what a running node makes of them, and whom it keeps waiting. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import type { ReloadReport } from "../../src/node/index.ts";
import { NodeProcess, portmesh } from "../support/node/node-process.ts";

/** Of the admin socket, whatever the file is. */
const MAX_ANSWER_MS = 5_000;
/** Of two reloads: the watch finds the file as well. */
const MAX_LOG_LINES = 40;
const MIB = 1024 * 1024;

let node: NodeProcess;

afterEach(() => node.kill());

const lines = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => line(index)).join("\n");

const cases: [string, string, string][] = [
  ["90,000 unknown keys", `[log]\n${lines(90_000, (index) => `key${index} = 1`)}`, "and 89900 more problems"],
  [
    "90,000 wrong tasks on one line",
    `[[services]]\nname = "a"\npublish = ["1"]\ntasks = [${"1,".repeat(90_000)}]`,
    "and 89901 more problems",
  ],
  ["150,000 mistakes", `[log]\n${lines(150_000, (index) => `key${index} = 1`)}`, "values: at most 100000"],
  ["100,000 services", lines(100_000, (index) => `[[services]]\nname="s${index}"\npublish=["1"]`), "at most"],
  [
    "19,000 services",
    lines(19_000, (index) => `[[services]]\nname="s${index}"\npublish=["1"]`),
    "19000 services: a file has at most 4096",
  ],
  ["10 MiB", `# ${"x".repeat(10 * MIB)}`, "bytes: at most 4194304"],
  ["one text of 4 MB", `[node]\nname = "${"x".repeat(4_000_000)}"`, "too long"],
  ["deep nesting", `a = ${"[".repeat(40_000)}${"]".repeat(40_000)}`, "nested"],
];

test.each(cases)(
  "%s: refused with few lines, and the admin socket answers meanwhile",
  async (_, text, message) => {
    node = await NodeProcess.start("[log]\nformat = 'json'\n");
    const linesBefore = node.log.split("\n").length;
    writeFileSync(node.file, text);
    let isDone = false;
    const reloading = reload().finally(() => {
      isDone = true;
    });
    let slowestMs = 0;
    while (!isDone) {
      const startedMs = performance.now();
      await node.status();
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      await Bun.sleep(10);
    }
    const report = await reloading;
    expect(report.outcome).toBe("refused");
    expect(report.problems.length).toBeLessThanOrEqual(101);
    expect(JSON.stringify(report.problems)).toContain(message);
    expect(slowestMs).toBeLessThan(MAX_ANSWER_MS);
    expect(node.log.split("\n").length - linesBefore).toBeLessThan(MAX_LOG_LINES);
    const status = await portmesh("status", "--socket", node.socket);
    expect(status.stdout.split("\n").length).toBeLessThan(2 * MAX_LOG_LINES);
  },
);

async function reload(): Promise<ReloadReport> {
  const answer = await fetch("http://portmesh/v1/reload", { unix: node.socket, method: "POST" });
  return (await answer.json()) as ReloadReport;
}

test("check lists the first hundred of 9,000 problems and counts the others", async () => {
  node = await NodeProcess.start("");
  writeFileSync(node.file, `[log]\n${lines(9_000, (index) => `key${index} = 1`)}`);
  const { exitCode, stderr } = await portmesh("check", "-c", node.file);
  expect(exitCode).toBe(2);
  expect(stderr.trimEnd().split("\n")).toHaveLength(101);
  expect(stderr).toEndWith(`${node.file}: and 8900 more problems\n`);
  const json = await portmesh("check", "-c", node.file, "--json");
  expect(JSON.parse(json.stdout)).toHaveLength(101);
});

test("a right file with 1,000 services is read by another thread and applied", async () => {
  node = await NodeProcess.start("");
  const services = lines(
    1_000,
    (index) =>
      `[[services]]\nname = "s${index}"\npublish = ["${10_000 + index}"]\nbind = ["127.99.99.99"]\ntasks = ["10.0.0.1"]`,
  );
  const report = await node.reload(services);
  expect(report.problems).toEqual([]);
  expect(report.changes.services.added).toHaveLength(1_000);
  expect((await node.reload(services)).outcome).toBe("unchanged");
  const leadsBack =
    '[[services]]\nname = "x"\npublish = ["9999"]\nbind = ["127.0.0.1"]\ntasks = ["127.0.0.1"]';
  const refused = await node.reload(`${services}\n${leadsBack}`);
  expect(refused.outcome).toBe("refused");
  const lastLine = readFileSync(node.file, "utf8").split("\n").length; // where its tasks are
  expect(refused.problems).toMatchObject([{ line: lastLine, key: "services[1000].tasks" }]);
});
