/** Bulk transfer with iperf3, client to server, over one or eight connections. */
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { findProgram, waitFor } from "../process.ts";
import { iperf3Client, iperf3Server, parseIperf3 } from "../tools/iperf3.ts";
import {
  type Metric,
  meshSubjects,
  type SubjectName,
  type Workload,
  type WorkloadName,
} from "../workload.ts";
import { type LoadOutcome, type LoadTarget, openLoad } from "./load.ts";

const SERVER_START_DEADLINE_MS = 5000;

const metrics: readonly Metric[] = [
  { key: "rate", label: "Gbit/s", better: "more", digits: 2, isCompared: true },
  { key: "cpu", label: "CPU s/GB", better: "less", digits: 3, isCompared: true },
];

const ALONE: readonly SubjectName[] = ["direct", "haproxy", "haproxy-splice", "nginx", "portmesh"];

export const bulk1 = bulk("bulk-1", 1, ALONE);
export const bulk8 = bulk("bulk-8", 8, ALONE);
export const meshBulk = bulk("mesh-bulk", 1, meshSubjects, "Two nodes: ");

function bulk(
  name: WorkloadName,
  streams: number,
  subjects: readonly SubjectName[],
  titlePrefix = "",
): Workload {
  return {
    name,
    title: `${titlePrefix}Bulk, ${streams} ${streams === 1 ? "stream" : "streams"} (iperf3)`,
    metrics,
    subjects,
    tools: ["iperf3"],
    minRounds: 1,
    open: (bench, subjects, workers) =>
      openLoad(bench, subjects, workers, "tcp", iperf3Target(bench, streams)),
  };
}

function iperf3Target(bench: Bench, streams: number): LoadTarget {
  const program = findProgram("iperf3")!;
  const port = bench.ports.take();
  return {
    port,
    run: (throughPort, seconds) => transfer(bench, program, port, throughPort, streams, seconds),
    stop: async () => {},
  };
}

/** A new server for each test: one that lost its control connection would refuse the next as busy. */
async function transfer(
  bench: Bench,
  program: string,
  serverPort: number,
  throughPort: number,
  streams: number,
  seconds: number,
): Promise<LoadOutcome> {
  const server = bench.children.start(iperf3Server(program, serverPort), bench.path("iperf3.log"));
  try {
    await waitFor("start of iperf3", SERVER_START_DEADLINE_MS, () => isListening(serverPort, "tcp"));
    const json = await bench.children.run(
      iperf3Client(program, throughPort, streams, seconds),
      seconds * 1000,
    );
    const { gigabitsPerSecond, gigabytes } = parseIperf3(json);
    return { sample: { rate: gigabitsPerSecond, gigabytes }, work: gigabytes, failures: [] };
  } finally {
    await server.stop();
  }
}
