/** Small HTTP requests with wrk over 64 connections: kept open, or one connection per request. */
import { mkdirSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { findProgram, waitFor } from "../process.ts";
import { httpTarget } from "../proxies/nginx.ts";
import { parseWrk, wrkCommand } from "../tools/wrk.ts";
import {
  type Metric,
  meshSubjects,
  type SubjectName,
  type Workload,
  type WorkloadName,
} from "../workload.ts";
import { type LoadOutcome, type LoadTarget, openLoad } from "./load.ts";

const CONNECTIONS = 64;
const SERVER_START_DEADLINE_MS = 5000;

const metrics: readonly Metric[] = [
  { key: "rate", label: "requests/s", better: "more", digits: 0, isCompared: true },
  { key: "cpu", label: "CPU us/request", better: "less", digits: 2, isCompared: true },
  { key: "p50", label: "p50 ms", better: "less", digits: 3, isCompared: false },
  { key: "p99", label: "p99 ms", better: "less", digits: 3, isCompared: true },
  { key: "errors", label: "failed", better: "less", digits: 0, isCompared: false },
];

const ALONE: readonly SubjectName[] = ["direct", "haproxy", "nginx", "portmesh"];

interface HttpWorkload {
  readonly title: string;
  readonly isOneShot: boolean;
  readonly connections: number;
  readonly subjects: readonly SubjectName[];
}

const kept = `Small requests, keep-alive, ${CONNECTIONS} connections (wrk)`;
const once = `One connection per request, ${CONNECTIONS} at a time (wrk)`;
const load = { isOneShot: false, connections: CONNECTIONS };

export const keepAlive = http("keep-alive", { ...load, title: kept, subjects: ALONE });
export const oneShot = http("one-shot", { ...load, title: once, isOneShot: true, subjects: ALONE });

const mesh = { ...load, subjects: meshSubjects };

export const meshKeepAlive = http("mesh-keep-alive", { ...mesh, title: `Two nodes: ${kept}` });
export const meshOneShot = http("mesh-one-shot", { ...mesh, title: `Two nodes: ${once}`, isOneShot: true });
export const meshLatency = http("mesh-latency", {
  ...mesh,
  title: "Two nodes: latency, one request at a time (wrk)",
  connections: 1,
});

function http(name: WorkloadName, workload: HttpWorkload): Workload {
  return {
    name,
    title: workload.title,
    metrics,
    subjects: workload.subjects,
    tools: ["wrk"],
    minRounds: 1,
    open: async (bench, subjects, workers) => {
      const target = await startHttpTarget(bench, workers, workload);
      return openLoad(bench, subjects, workers, "tcp", target);
    },
  };
}

async function startHttpTarget(bench: Bench, workers: number, workload: HttpWorkload): Promise<LoadTarget> {
  const port = bench.ports.take();
  const server = bench.children.start(serverCommand(bench, port, workers), bench.path("http-target.log"));
  await waitFor("start of the HTTP target", SERVER_START_DEADLINE_MS, () => isListening(port, "tcp"));
  return {
    port,
    run: (throughPort, seconds) => request(bench, throughPort, workers, seconds, workload),
    stop: () => server.stop(),
  };
}

function serverCommand(bench: Bench, port: number, workers: number): string[] {
  if (!findProgram("nginx"))
    return [process.execPath, `${import.meta.dir}/../targets/http-server.ts`, String(port)];
  const directory = bench.path("http-target");
  mkdirSync(directory);
  return httpTarget(directory, port, workers);
}

async function request(
  bench: Bench,
  port: number,
  threads: number,
  seconds: number,
  { connections, isOneShot }: HttpWorkload,
): Promise<LoadOutcome> {
  const load = { port, connections, threads: Math.min(threads, connections), seconds, isOneShot };
  const result = parseWrk(await bench.children.run(wrkCommand(findProgram("wrk")!, load), seconds * 1000));
  return {
    sample: {
      rate: result.requestsPerSecond,
      p50: result.p50Ms,
      p99: result.p99Ms,
      errors: result.errors,
      requests: result.requests,
    },
    work: result.requests / 1e6,
    failures: result.errors > 0 ? [`${result.errors} requests failed`] : [],
  };
}
