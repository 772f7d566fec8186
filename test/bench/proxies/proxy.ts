/** What the bench needs to know of a proxy program, and starting one. */
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { type Child, waitFor } from "../process.ts";
import type { SubjectName } from "../workload.ts";

const START_DEADLINE_MS = 10_000;

export type Protocol = "tcp" | "udp";

export interface Route {
  readonly name: string;
  readonly protocol: Protocol;
  readonly listenPort: number;
  readonly targetPort: number;
}

export interface ProxySetup {
  readonly routes: readonly Route[];
  readonly workers: number;
  /** A directory of its own for configuration, sockets and state. */
  readonly directory: string;
}

export interface ProxyProgram {
  readonly name: SubjectName;
  /** Why it cannot run on this machine; undefined if it can. */
  unavailable(): string | undefined;
  /** Writes the configuration and returns the command that runs the proxy in the foreground. */
  prepare(setup: ProxySetup): string[];
}

/** Starts the proxy and waits until every route listens. */
export async function startProxy(bench: Bench, program: ProxyProgram, setup: ProxySetup): Promise<Child> {
  const child = bench.children.start(program.prepare(setup), bench.path(`${program.name}.log`));
  try {
    await waitFor(`start of ${program.name}`, START_DEADLINE_MS, () => {
      if (child.hasExited) throw new Error("it ended");
      return setup.routes.every((route) => isListening(route.listenPort, route.protocol));
    });
  } catch (error) {
    await child.stop();
    throw new Error(`cannot start ${program.name}: ${(error as Error).message}: ${child.complaint()}`, {
      cause: error,
    });
  }
  return child;
}
