/**
 * A node as a process: signals and the last line of defence against bugs.
 *
 * SIGHUP reloads. SIGTERM and SIGINT drain and end; a second one ends at once. An exception nobody caught is a bug:
 * it is logged and the process ends, the supervisor starts it again.
 */
import { readConfig, watchConfig } from "../config/index.ts";
import { SpliceProxy } from "../proxy/index.ts";
import { systemClock } from "../sys/clock.ts";
import { readLocalNetwork } from "../sys/local-addresses.ts";
import { lookupHost } from "../sys/lookup-host.ts";
import type { Log } from "./log.ts";
import type { Node } from "./node.ts";
import { type NodeOptions, type NodeParts, startNode } from "./start-node.ts";

const realParts: NodeParts = {
  startProxy: (options) => SpliceProxy.start(options),
  lookup: lookupHost,
  readNetwork: readLocalNetwork,
  clock: systemClock,
  readConfig,
  watchConfig,
};

export interface RunHooks {
  /** The node serves. */
  readonly onServing?: () => void;
}

/** Resolves to the exit code when the node has ended. Throws AdminSocketError when it cannot begin. */
export async function runNode(options: NodeOptions, hooks: RunHooks = {}): Promise<number> {
  exitOnBugs(options.log);
  const stop = awaitStop();
  const node = await startNode(options, realParts);
  process.on("SIGHUP", () => reloadOnSignal(node, options.log));
  hooks.onServing?.();
  await stop.first;
  const drained = node.drainAndStop();
  void stop.second.then(() => node.hurry());
  return (await drained) ? 0 : 1;
}

/** SIGTERM or SIGINT, once and again. Listens from before the start, so that no signal finds it without a handler. */
function awaitStop(): { readonly first: Promise<void>; readonly second: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let count = 0;
  const onSignal = () => {
    count++;
    if (count === 1) first.resolve();
    else if (count === 2) second.resolve();
    else process.exit(1); // it hangs
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return { first: first.promise, second: second.promise };
}

function reloadOnSignal(node: Node, log: Log): void {
  node.reload(false, "signal").catch((error: unknown) => log.error({ err: error }, "cannot reload"));
}

function exitOnBugs(log: Log): void {
  const end = (error: unknown) => {
    log.fatal({ err: error }, "unexpected error: ending");
    process.exit(1);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}
