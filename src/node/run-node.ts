/**
 * A node as a process: signals and the last line of defence against bugs.
 *
 * SIGHUP reloads. SIGTERM and SIGINT drain and end; a second one ends at once. An exception nobody caught is a bug:
 * it is logged and the process ends, the supervisor starts it again.
 */
import { statSync } from "node:fs";
import { readConfig, watchConfig } from "../config/index.ts";
import { SpliceProxy } from "../proxy/index.ts";
import { systemClock } from "../sys/clock.ts";
import { readDefaultRouteInterface } from "../sys/default-address.ts";
import { Libcrypto } from "../sys/libcrypto.ts";
import { readLocalNetwork } from "../sys/local-addresses.ts";
import { lookupHost } from "../sys/lookup-host.ts";
import type { Log } from "./log.ts";
import type { Node } from "./node.ts";
import { openDrivers } from "./overlay/drivers.ts";
import { PathWatch } from "./overlay/path-watch.ts";
import { type NodeOptions, type NodeParts, startNode } from "./start-node.ts";

const realParts: NodeParts = {
  startProxy: (options) => SpliceProxy.start(options),
  lookup: lookupHost,
  readNetwork: readLocalNetwork,
  clock: systemClock,
  readConfig,
  watchConfig,
  fileChangedAtMs: (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null,
  readDefaultRouteInterface,
  openDrivers,
  watchPaths: (options) => new PathWatch(options),
  libcryptoVersion: () => Libcrypto.open()?.version ?? null,
  random: Math.random,
};

export interface RunHooks {
  /** The node serves. */
  readonly onServing?: () => void;
}

/** Resolves to the exit code when the node has ended. Throws AdminSocketError, MeshError or OverlayError when it cannot begin. */
export async function runNode(options: Omit<NodeOptions, "onFatal">, hooks: RunHooks = {}): Promise<number> {
  exitOnBugs(options.log);
  const stop = awaitStop();
  const fatal = Promise.withResolvers<void>();
  const onFatal = (error: Error) => {
    options.log.fatal(error.message);
    fatal.resolve();
  };
  const node = await startNode({ ...options, onFatal }, realParts);
  process.on("SIGHUP", () => reloadOnSignal(node, options.log));
  hooks.onServing?.();
  const isFatal = await Promise.race([stop.first.then(() => false), fatal.promise.then(() => true)]);
  const drained = node.drainAndStop();
  void stop.second.then(() => node.hurry());
  return (await drained) && !isFatal ? 0 : 1;
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
