/**
 * What a node of a mesh of five costs while nothing happens, and what is left in it after minutes of one connection
 * per request through entry and exit nodes. Prints; asserts nothing:
 *
 *   bun test/bench/mesh/endurance.ts idle 180
 *   bun test/bench/mesh/endurance.ts load 300
 */
import { readdirSync, readFileSync } from "node:fs";
import { FaultScenario } from "../../support/fault-scenario.ts";
import type { MeshNode } from "../../support/mesh-node.ts";
import { cpuSecondsOf, descriptorsOf, memoryBytesOf } from "../../support/process-stats.ts";

const SAMPLES = 6;
/** Connections end and garbage is collected before what is left is counted. */
const SETTLE_SECONDS = 10;
const MIB = 1024 * 1024;

type Work = "idle" | "load";

async function main([work, seconds = "60"]: readonly string[]): Promise<void> {
  if (work !== "idle" && work !== "load") throw new Error("usage: endurance.ts idle|load SECONDS");
  const scenario = await FaultScenario.start(`endurance ${work}`, { load: { pauseMs: 1 } });
  try {
    await run(scenario, work, Number(seconds));
  } finally {
    await scenario.close();
  }
}

async function run(scenario: FaultScenario, work: Work, seconds: number): Promise<void> {
  const { nodes } = scenario.cluster;
  if (work === "idle") await scenario.load.stop();
  await Bun.sleep(SETTLE_SECONDS * 1000);
  const before = nodes.map(({ pid }) => cpuSecondsOf(pid));
  const threads = nodes.map(({ pid }) => threadSeconds(pid));
  const fromMs = performance.now();
  show(nodes, "start");
  for (let sample = 1; sample <= SAMPLES; sample++) {
    await Bun.sleep((seconds * 1000) / SAMPLES);
    show(nodes, `${((performance.now() - fromMs) / 1000).toFixed(0)} s`);
  }
  const tookSeconds = (performance.now() - fromMs) / 1000;
  for (const [index, { name, pid }] of nodes.entries()) {
    const percent = ((cpuSecondsOf(pid) - before[index]!) / tookSeconds) * 100;
    console.log(`${name}: ${percent.toFixed(2)} % of a core; ${busiest(threads[index]!, pid, tookSeconds)}`);
  }
  if (work === "idle") return;
  const records = scenario.load.since(fromMs);
  const failed = records.filter(({ error }) => error !== null);
  console.log(`${records.length} requests, ${failed.length} failed`, failed.slice(0, 5));
  await scenario.load.stop();
  await Bun.sleep(SETTLE_SECONDS * 1000);
  show(nodes, "after");
}

function show(nodes: readonly MeshNode[], when: string): void {
  const cells = nodes.map(({ name, pid }) => {
    const memory = (memoryBytesOf(pid) / MIB).toFixed(1);
    return `${name} ${memory} MiB ${descriptorsOf(pid)} fds`;
  });
  console.log(`${when.padStart(6)}: ${cells.join(", ")}`);
}

/** By thread: "2811 portmesh". */
function threadSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    const name = stat.slice(stat.indexOf("(") + 1, end);
    seconds.set(`${thread} ${name}`, (Number(fields[11]) + Number(fields[12])) / 100);
  }
  return seconds;
}

function busiest(before: ReadonlyMap<string, number>, pid: number, tookSeconds: number): string {
  return [...threadSeconds(pid)]
    .map(([thread, seconds]) => ({
      thread,
      percent: ((seconds - (before.get(thread) ?? 0)) / tookSeconds) * 100,
    }))
    .sort((a, b) => b.percent - a.percent)
    .slice(0, 4)
    .map(({ thread, percent }) => `${thread} ${percent.toFixed(2)} %`)
    .join(", ");
}

await main(process.argv.slice(2));
