/** For the workloads that start a fresh proxy for every sample: a directory, a port, a route to one target. */
import { mkdirSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { proxyPrograms } from "../proxies/index.ts";
import type { ProxyProgram, ProxySetup } from "../proxies/proxy.ts";
import type { Measurement, OpenWorkload, SubjectName } from "../workload.ts";

export interface FreshProxy {
  readonly program: ProxyProgram;
  readonly setup: ProxySetup;
  readonly port: number;
}

export function freshProxy(
  bench: Bench,
  subject: SubjectName,
  workers: number,
  targetPort: number,
): FreshProxy {
  if (subject === "direct") throw new Error("there is no proxy to start");
  const directory = bench.path(subject);
  mkdirSync(directory);
  const port = bench.ports.take();
  const route = { name: "bench", protocol: "tcp", listenPort: port, targetPort } as const;
  const setup = { routes: [route], workers, directory, takePort: () => bench.ports.take() };
  return { program: proxyPrograms[subject], setup, port };
}

/** An open workload without warm-up; `close` ends the target. */
export function openFresh(
  measure: (subject: SubjectName) => Promise<Measurement>,
  close: () => Promise<void>,
): OpenWorkload {
  return { broken: new Map(), measure, close };
}
