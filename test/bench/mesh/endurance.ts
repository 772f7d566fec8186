/**
 * What a node of a mesh of five costs while nothing happens, and what is left in it after minutes of one connection
 * per request through entry and exit nodes. Prints; asserts nothing:
 *
 *   bun test/bench/mesh/endurance.ts idle 180
 *   bun test/bench/mesh/endurance.ts load 300
 */
import { readdirSync, readFileSync } from "node:fs";
import { FaultScenario } from "../../support/cluster/fault-scenario.ts";
import type { MeshNode } from "../../support/cluster/mesh-node.ts";
import { descriptorsOf, memoryBytesOf } from "../../support/os/process-stats.ts";

const SAMPLES = 6;
/** Connections end and garbage is collected before what is left is counted. */
const SETTLE_SECONDS = 10;
const SHOWN_THREADS = 5;
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
  const threads = nodes.map(({ pid }) => threadSeconds(pid));
  const fromMs = performance.now();
  show(nodes, "start");
  for (let sample = 1; sample <= SAMPLES; sample++) {
    await Bun.sleep((seconds * 1000) / SAMPLES);
    show(nodes, `${((performance.now() - fromMs) / 1000).toFixed(0)} s`);
  }
  const tookSeconds = (performance.now() - fromMs) / 1000;
  for (const [index, { name, pid }] of nodes.entries()) {
    const used = percentages(threads[index]!, pid, tookSeconds);
    const sum = used.reduce((total, { percent }) => total + percent, 0);
    const busiest = used
      .slice(0, SHOWN_THREADS)
      .map(({ thread, percent }) => `${thread} ${percent.toFixed(3)} %`);
    console.log(`${name}: ${sum.toFixed(2)} % of a core; ${busiest.join(", ")}`);
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

/** By thread: "2811 portmesh". To the nanosecond, where stat counts hundredths. */
function threadSeconds(pid: number): Map<string, number> {
  const seconds = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, "latin1");
    seconds.set(`${thread} ${read("comm").trim()}`, Number(read("schedstat").split(" ")[0]) / 1e9);
  }
  return seconds;
}

/** Of a core, by thread, the busiest first; threads that have ended are not counted. */
function percentages(before: ReadonlyMap<string, number>, pid: number, tookSeconds: number) {
  return [...threadSeconds(pid)]
    .map(([thread, seconds]) => ({
      thread,
      percent: ((seconds - (before.get(thread) ?? 0)) / tookSeconds) * 100,
    }))
    .sort((a, b) => b.percent - a.percent);
}

await main(process.argv.slice(2));
