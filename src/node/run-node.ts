/**
 * A node as a process: signals and the last line of defence against bugs. An uncaught exception is a bug: it is
 * logged and the process ends; the supervisor starts it again.
 */
import { statSync } from "node:fs";
import { readConfigAside, watchConfig } from "../config/index.ts";
import { readOverlayInterfaces } from "../overlay/index.ts";
import { SpliceProxy } from "../proxy/index.ts";
import { systemClock } from "../sys/clock.ts";
import { readDefaultRouteInterface } from "../sys/default-address.ts";
import { InheritedSockets } from "../sys/inherited-sockets.ts";
import { Libcrypto } from "../sys/libcrypto.ts";
import { takeListenFds } from "../sys/listen-fds.ts";
import { readLocalNetwork, withoutTentative } from "../sys/local-addresses.ts";
import { lookupHost } from "../sys/lookup-host.ts";
import { socketTransport } from "./cluster/gossip-transport.ts";
import type { Log } from "./log.ts";
import type { Node } from "./node.ts";
import type { NodeOptions, NodeParts } from "./node-parts.ts";
import { openDrivers } from "./overlay/drivers.ts";
import { PathWatch } from "./overlay/path-watch.ts";
import { ServiceManager } from "./service-manager.ts";
import { NodeSignals } from "./signals.ts";
import { startNode } from "./start-node.ts";
import { enableTcpMtuProbing } from "./tcp-mtu-probing.ts";

const realParts: NodeParts = {
  startProxy: (options) => SpliceProxy.start(options),
  lookup: lookupHost,
  gossip: socketTransport,
  readNetwork: readLocalNetwork,
  readUsableAddresses: () => withoutTentative(readLocalNetwork().addresses),
  clock: systemClock,
  readConfig: readConfigAside,
  watchConfig,
  fileChangedAtMs: (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null,
  readDefaultRouteInterface,
  readOverlayInterfaces,
  openDrivers,
  watchPaths: (options) => new PathWatch(options),
  libcryptoVersion: () => Libcrypto.open()?.version ?? null,
  random: Math.random,
};

export interface RunHooks {
  /** The node serves. */
  readonly onServing?: () => void;
}

/** Resolves to the exit code when the node has ended. Throws AdminSocketError, NodeError or OverlayError when it cannot begin. */
export async function runNode(options: Omit<NodeOptions, "onFatal">, hooks: RunHooks = {}): Promise<number> {
  exitOnBugs(options.log);
  const fatal = Promise.withResolvers<void>();
  const onFatal = (error: Error) => {
    options.log.fatal(error.message);
    fatal.resolve();
  };
  const { takeover } = options;
  const inherited = takeover?.sockets ?? new InheritedSockets(takeListenFds(process.env, process.pid));
  const manager = new ServiceManager({
    env: process.env,
    pid: process.pid,
    isSuccessor: takeover != null,
    inherited,
    clock: systemClock.steady,
    log: options.log,
  });
  const signals = new NodeSignals(options.log, () => manager.keepSockets());
  let restore = options.config.cluster === null ? () => {} : enableTcpMtuProbing(options.log);
  try {
    const node = await startNode({ ...options, inherited, manager, onFatal }, realParts);
    signals.onServing(() => reloadOnSignal(node, options.log));
    manager.serving(node);
    hooks.onServing?.();
    const { left } = node.handover;
    const end = await Promise.race([
      signals.stop.then(() => "stop"),
      fatal.promise.then(() => "fatal"),
      left.then(() => "left"),
    ]);
    if (end === "left") {
      restore = () => {}; // the other process has it
      void signals.stop.then(() => node.hurry());
      await node.drained;
      return 0;
    }
    const isFatal = end === "fatal";
    const drained = node.drainAndStop(signals.isRestart);
    void signals.hurry.then(() => node.hurry());
    return (await drained) && !isFatal ? 0 : 1;
  } finally {
    restore();
  }
}

async function reloadOnSignal(node: Node, log: Log): Promise<void> {
  try {
    await node.reload(false, "signal");
  } catch (error) {
    log.error({ err: error }, "cannot reload");
  }
}

function exitOnBugs(log: Log): void {
  const end = (error: unknown) => {
    log.fatal({ err: error }, "unexpected error: exiting");
    process.exit(1);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}
