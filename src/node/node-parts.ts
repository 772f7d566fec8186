/** What a node is started with: its options, and the outside world, so that tests can replace it. */
import type { Config, ConfigCheck, FileResult, WatchOptions } from "../config/index.ts";
import type { ProxyOptions, SpliceProxy } from "../proxy/index.ts";
import type { Clock, NodeClock } from "../sys/clock.ts";
import type { InheritedSockets } from "../sys/inherited-sockets.ts";
import type { LocalAddress, LocalNetwork } from "../sys/local-addresses.ts";
import type { LookupHost } from "../sys/lookup-host.ts";
import type { GossipTransport } from "./cluster/gossip-transport.ts";
import type { StartCommand } from "./handover/spawn-successor.ts";
import type { Takeover } from "./handover/takeover.ts";
import type { Log } from "./log.ts";
import type { NodeError } from "./node-error.ts";
import type { OpenDrivers } from "./overlay/open-driver.ts";
import type { Paths, PathWatchOptions } from "./overlay/path-watch.ts";
import type { ServiceManager } from "./service-manager.ts";
import type { BuildInfo } from "./status.ts";

export interface NodeParts {
  readonly startProxy: (options: ProxyOptions) => Promise<NodeProxy>;
  readonly lookup: LookupHost;
  readonly gossip: GossipTransport;
  readonly readNetwork: () => LocalNetwork;
  /** The machine's addresses that work: none that IPv6 still looks for a second owner of. */
  readonly readUsableAddresses: () => readonly LocalAddress[];
  readonly clock: NodeClock;
  readonly readConfig: (file: string, check: ConfigCheck) => FileResult | Promise<FileResult>;
  readonly watchConfig: (options: Pick<WatchOptions, "paths" | "onChange" | "isRefused">) => { stop(): void };
  /** When the file was last written, ms since 1970; null: not known. */
  readonly fileChangedAtMs: (file: string) => number | null;
  readonly readDefaultRouteInterface: (family: 4 | 6) => string | null;
  /** Names of the interfaces of overlays, also of those that killed nodes have left. Throws where the kernel does not say. */
  readonly readOverlayInterfaces: () => ReadonlySet<string>;
  /** @param owner "<cluster>/<node>" */
  readonly openDrivers: (owner: string, clock: Clock) => OpenDrivers;
  readonly watchPaths: (options: PathWatchOptions) => Paths;
  /** null: the system has none. */
  readonly libcryptoVersion: () => string | null;
  /** [0, 1) */
  readonly random: () => number;
}

export type NodeProxy = Pick<
  SpliceProxy,
  | "compare"
  | "excessOf"
  | "prepare"
  | "commit"
  | "retryPorts"
  | "isTaskUp"
  | "silentLooksOf"
  | "openConnectionsOf"
  | "status"
  | "totals"
  | "recordConnections"
  | "ping"
  | "closePorts"
  | "sockets"
  | "pauseUdp"
  | "resumeUdp"
  | "forgetUdp"
  | "exportCounters"
  | "continueFrom"
  | "forget"
  | "openConnections"
  | "drain"
  | "hurry"
  | "stop"
>;

export interface NodeOptions {
  readonly file: string;
  /** What `file` says: it has been read already, because the log depends on it. */
  readonly config: Config;
  /** What of `file` should be repaired. */
  readonly fileWarnings?: readonly string[];
  readonly version: BuildInfo;
  readonly log: Log;
  /** Hears how the node is; absent: no service manager. */
  readonly manager?: ServiceManager;
  /** Sockets that are open already: of the predecessor, or from the service manager. */
  readonly inherited?: InheritedSockets;
  /** From the process that runs this node now. */
  readonly takeover?: Takeover | null;
  /** How to start another process like this one; absent: not at all. */
  readonly command?: StartCommand;
  /** The node cannot go on after it has started. */
  readonly onFatal: (error: NodeError) => void;
}
