/** DNS queries over UDP: dnsperf → proxy → unbound. HAProxy has no UDP; nginx stream is the rival. */
import { mkdirSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { findProgram, waitFor } from "../process.ts";
import { prepareUnbound } from "../targets/unbound.ts";
import { dnsperfCommand, parseDnsperf } from "../tools/dnsperf.ts";
import type { Metric, Workload, WorkloadName } from "../workload.ts";
import { type LoadOutcome, type LoadTarget, openLoad } from "./load.ts";

const SERVER_START_DEADLINE_MS = 5000;
/** UDP may lose a datagram when a receiver's buffer is full; more than this is a fault, not a full buffer. */
const MAX_LOST_SHARE = 0.01;

const metrics: readonly Metric[] = [
  { key: "rate", label: "queries/s", better: "more", digits: 0, isCompared: true },
  { key: "cpu", label: "CPU us/query", better: "less", digits: 2, isCompared: true },
  { key: "latency", label: "average ms", better: "less", digits: 3, isCompared: false },
  { key: "lost", label: "lost", better: "less", digits: 0, isCompared: false },
];

/** Clients are sockets of dnsperf, so sessions of the proxy: the fewer, the more goes into one system call. */
export const dns1 = dns("dns-1", 1);
export const dns10 = dns("dns-10", 10);
export const dns32 = dns("dns-32", 32);

function dns(name: WorkloadName, clients: number): Workload {
  return {
    name,
    title: `DNS queries over UDP, ${clients} ${clients === 1 ? "client" : "clients"} (dnsperf, unbound)`,
    metrics,
    subjects: ["direct", "nginx", "portmesh"],
    tools: ["dnsperf", "unbound"],
    minRounds: 1,
    open: async (bench, subjects, workers) =>
      openLoad(bench, subjects, workers, "udp", await startDnsTarget(bench, clients)),
  };
}

async function startDnsTarget(bench: Bench, clients: number): Promise<LoadTarget> {
  const port = bench.ports.take();
  const directory = bench.path("dns-target");
  mkdirSync(directory);
  const { command, queryFile } = prepareUnbound(findProgram("unbound")!, directory, port);
  const server = bench.children.start(command, bench.path("unbound.log"));
  await waitFor("start of unbound", SERVER_START_DEADLINE_MS, () => isListening(port, "udp"));
  return {
    port,
    run: (throughPort, seconds) => query(bench, throughPort, queryFile, clients, seconds),
    stop: () => server.stop(),
  };
}

async function query(
  bench: Bench,
  port: number,
  queryFile: string,
  clients: number,
  seconds: number,
): Promise<LoadOutcome> {
  const command = dnsperfCommand(findProgram("dnsperf")!, { port, queryFile, clients, seconds });
  const result = parseDnsperf(await bench.children.run(command, seconds * 1000));
  const lostShare = result.lost / (result.completed + result.lost);
  return {
    sample: {
      rate: result.queriesPerSecond,
      latency: result.averageLatencyMs,
      lost: result.lost,
      queries: result.completed,
    },
    work: result.completed / 1e6,
    failures:
      lostShare > MAX_LOST_SHARE ? [`${result.lost} of ${result.completed + result.lost} queries lost`] : [],
  };
}
