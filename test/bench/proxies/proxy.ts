/** What the bench needs to know of a proxy program, and starting one. */
import type { Bench } from "../bench.ts";
import { isListening } from "../ports.ts";
import { waitFor } from "../process.ts";
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
  /** Another free port, for what happens between the processes of a pair. */
  readonly takePort: () => number;
}

export type Command = readonly string[];

export interface ProxyProgram {
  readonly name: SubjectName;
  /** Why it cannot run on this machine; undefined if it can. */
  unavailable(): string | undefined;
  /** Writes the configuration. */
  prepare(setup: ProxySetup): PreparedProxy;
}

export interface PreparedProxy {
  /** They run the proxy in the foreground; two for a pair. */
  readonly commands: readonly Command[];
  /** Whether it serves, where the listening sockets of its routes do not tell. */
  readonly isReady?: () => boolean | Promise<boolean>;
}

/** All processes of a proxy, as one. */
export interface RunningProxy {
  readonly pids: readonly number[];
  /** Any of them. */
  readonly hasExited: boolean;
  complaint(): string;
  stop(): Promise<void>;
}

export function startProcesses(bench: Bench, name: string, commands: readonly Command[]): RunningProxy {
  const children = commands.map((command) => bench.children.start(command, bench.path(`${name}.log`)));
  return {
    pids: children.map((child) => child.pid),
    get hasExited() {
      return children.some((child) => child.hasExited);
    },
    complaint: () =>
      children
        .map((child) => child.complaint())
        .join("\n")
        .trim(),
    async stop() {
      await Promise.all(children.map((child) => child.stop()));
    },
  };
}

/** Starts the proxy and waits until every route is served. */
export async function startProxy(
  bench: Bench,
  program: ProxyProgram,
  setup: ProxySetup,
): Promise<RunningProxy> {
  const { commands, isReady } = program.prepare(setup);
  const proxy = startProcesses(bench, program.name, commands);
  try {
    await waitFor(`start of ${program.name}`, START_DEADLINE_MS, async () => {
      if (proxy.hasExited) throw new Error("it ended");
      const isListeningAll = setup.routes.every((route) => isListening(route.listenPort, route.protocol));
      return isListeningAll && ((await isReady?.()) ?? true);
    });
  } catch (error) {
    await proxy.stop();
    throw new Error(`cannot start ${program.name}: ${(error as Error).message}: ${proxy.complaint()}`, {
      cause: error,
    });
  }
  return proxy;
}
