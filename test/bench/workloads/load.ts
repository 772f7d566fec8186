/**
 * The common half of the load workloads: a target, every subject in front of it for as long as the workload
 * lasts (so that all are warm), and the proxy's CPU time around each measurement.
 */
import { mkdirSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { cpuSeconds } from "../process.ts";
import { proxyPrograms } from "../proxies/index.ts";
import { type Protocol, type RunningProxy, startProxy } from "../proxies/proxy.ts";
import type { Measurement, OpenWorkload, Sample, SubjectName } from "../workload.ts";

const WARM_UP_SECONDS = 1;

export interface LoadOutcome {
  readonly sample: Sample;
  /** In the unit that the workload's CPU column is divided by. */
  readonly work: number;
  readonly failures: readonly string[];
}

export interface LoadTarget {
  readonly port: number;
  run(port: number, seconds: number): Promise<LoadOutcome>;
  stop(): Promise<void>;
}

interface Endpoint {
  readonly port: number;
  /** Absent for the reference without a proxy. */
  readonly proxy?: RunningProxy;
}

/** Starts a proxy for every subject; the sample gains `cpu`: CPU seconds of the proxy per unit of work. */
export async function openLoad(
  bench: Bench,
  subjects: readonly SubjectName[],
  workers: number,
  protocol: Protocol,
  target: LoadTarget,
): Promise<OpenWorkload> {
  const endpoints = new Map<SubjectName, Endpoint>();
  const broken = new Map<SubjectName, string>();
  for (const subject of subjects) {
    try {
      endpoints.set(subject, await startEndpoint(bench, subject, workers, protocol, target.port));
    } catch (error) {
      broken.set(subject, (error as Error).message);
    }
  }
  return {
    broken,
    warmUp: (subject) => target.run(endpoints.get(subject)!.port, WARM_UP_SECONDS),
    measure: (subject) => measureLoad(endpoints.get(subject)!, target, bench.options.seconds),
    async close() {
      await Promise.all([...endpoints.values()].map((endpoint) => endpoint.proxy?.stop()));
      await target.stop();
    },
  };
}

async function startEndpoint(
  bench: Bench,
  subject: SubjectName,
  workers: number,
  protocol: Protocol,
  targetPort: number,
): Promise<Endpoint> {
  if (subject === "direct") return { port: targetPort };
  const port = bench.ports.take();
  const directory = bench.path(subject);
  mkdirSync(directory);
  const routes = [{ name: "bench", protocol, listenPort: port, targetPort }];
  const setup = { routes, workers, directory, takePort: () => bench.ports.take() };
  return { port, proxy: await startProxy(bench, proxyPrograms[subject], setup) };
}

async function measureLoad(
  { port, proxy }: Endpoint,
  target: LoadTarget,
  seconds: number,
): Promise<Measurement> {
  const cpuBefore = proxy ? cpuSecondsOf(proxy) : 0;
  const { sample, work, failures } = await target.run(port, seconds);
  if (!proxy) return { sample, failures };
  if (proxy.hasExited) throw new Error(`the proxy ended: ${proxy.complaint()}`);
  return { sample: { ...sample, cpu: (cpuSecondsOf(proxy) - cpuBefore) / work }, failures };
}

function cpuSecondsOf({ pids }: RunningProxy): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}
