/**
 * This node's part in the overlay: its address, its driver, its secrets with others, and how each of them is reached.
 *
 * It follows what the nodes announce (catalog), and announces this node itself. The overlay is used with a node as
 * soon as something has come back over it, and as long as it does; until then, and where the two have no driver in
 * common, relays go over the nodes' own addresses, sealed when one of both encrypts. So nothing is lost while one of
 * two has not heard of the other yet, or when something between them lets no UDP pass.
 */
import type { ClusterConfig, OverlayConfig } from "../../config/index.ts";
import {
  chooseAddress,
  type DriverName,
  type EchoHeard,
  type EndProblem,
  isInSubnet,
  type OverlayEnd,
  OverlayError,
  prefixLengthOf,
  REMOVED,
} from "../../overlay/index.ts";
import type { Clock } from "../../sys/clock.ts";
import { close } from "../../sys/socket.ts";
import type { OverlayInput } from "../facts/derive.ts";
import { type OverlayFacts, type OverlayReach, overlayFacts } from "../facts/overlay-facts.ts";
import { relayPortsAt } from "../facts/relay-ports.ts";
import { sourceAddress } from "../facts/source-address.ts";
import type { SocketList } from "../socket-list.ts";
import { EchoSockets } from "./echo-sockets.ts";
import { endProblems } from "./end-problems.ts";
import { type Neighbour, Neighbours, type Nodes } from "./neighbours.ts";
import {
  type LeftDevice,
  type OpenDrivers,
  type OpenedDriver,
  type OverlayDriver,
  openDriver,
} from "./open-driver.ts";
import type { OverlayLog } from "./overlay-log.ts";
import type { OverlayPeerStatus, OverlayStatus } from "./overlay-status.ts";
import type { Paths, PathWatchOptions, WatchedPeer } from "./path-watch.ts";
import { byNode, causeOf, peerStatus } from "./peer-status.ts";
import { Upkeep, type UpkeepOptions } from "./upkeep.ts";

export interface OverlayOptions {
  /** Name of this node. */
  readonly self: string;
  readonly config: OverlayConfig;
  readonly cluster: ClusterConfig;
  /** Literal address that others reach this node by, at the start. */
  readonly address: string;
  /** Whether this machine has an address now. */
  readonly hasAddress: (address: string) => boolean;
  /** Version of what seals short messages; null: the runtime does. */
  readonly libcrypto: string | null;
  readonly open: OpenDrivers;
  readonly watchPaths: (options: Omit<PathWatchOptions, "random" | "clock">) => Paths;
  readonly clock: Clock;
  readonly log: Pick<OverlayLog, "opened" | "moved" | "noEchoes" | "paths"> & UpkeepOptions["log"];
  /** Others are reached in another way than before, or this node has something else to announce. */
  readonly onChange: (facts: OverlayFacts) => void;
  /** Of another process of this node, which has stopped with it. */
  readonly inherited?: HandedOverlay | undefined;
  readonly sockets?: SocketList;
}

/** What another process of this node continues with; its keys are new. */
export interface HandedOverlay {
  /** null: there is none. */
  readonly device: LeftDevice | null;
}

/** Another node's end. */
export interface PeerEnd {
  /** Overlay address. */
  readonly address: string;
  readonly underlayAddress: string;
  /** UDP, of what carries the overlay. */
  readonly port: number;
  /** UDP, inside it. */
  readonly echoPort: number;
}

interface Applied {
  readonly peers: readonly WatchedPeer[];
  /** Names. */
  readonly active: readonly string[];
}

const NOTHING_APPLIED: Applied = { peers: [], active: [] };
const NOTHING_OPEN: OpenedDriver = { name: "none", driver: null, obstacle: null, passedOver: [] };
/** Ticks between two looks at the device and the routes of the machine. */
const LOOK_TICKS = 10;

export class Overlay {
  readonly #options: OverlayOptions;
  readonly #neighbours: Neighbours;
  readonly #echoSockets: EchoSockets;
  /** Literal address that others reach this node by. */
  #nodeAddress: string;
  #address: string | null = null;
  /** Taken again once the driver can be had; null: it has one, or there is none left. */
  #awaited: string | null = null;
  /** As last announced. */
  #nodes: Nodes = new Map();
  #opened = NOTHING_OPEN;
  #paths: Paths | null = null;
  /** Of the driver that runs, or ran last. */
  #openedEnd: OverlayEnd | null = null;
  #isStarted = false;
  #isMoving = false;
  /** Taken again by `resume`. */
  #suspendedAddress: string | null = null;
  /** The device that the next driver continues with, of this process or another. */
  #left: LeftDevice | null;
  /** Names of those that packets go to. */
  #active: ReadonlySet<string> = new Set();
  /** What the driver and the watch of the paths have. */
  #applied = NOTHING_APPLIED;
  readonly #upkeep: Upkeep;
  /** Names of those that the overlay reaches, as last told. */
  #up: readonly string[] = [];
  #ticks = 0;

  constructor(options: OverlayOptions) {
    this.#options = options;
    this.#nodeAddress = options.address;
    this.#left = options.inherited?.device ?? null;
    const { self, config, cluster, address } = options;
    const { name: clusterName, keys: clusterKeys } = cluster;
    this.#neighbours = new Neighbours({ self, subnet: config.subnet, clusterName, clusterKeys, address });
    this.#echoSockets = new EchoSockets(cluster.bind.port, options.sockets);
    const { clock, log } = options;
    this.#upkeep = new Upkeep({
      device: deviceOf(config),
      clock,
      log,
      isHeard: (peer) => this.#paths?.isUp(peer) === true,
      look: () => this.#look(),
    });
  }

  /** What the rest of the node has to know. */
  get facts(): OverlayFacts {
    const { config, cluster } = this.#options;
    const { publicKey, hasOlderNodes } = this.#neighbours;
    const address = this.#address;
    return overlayFacts({
      config,
      gossip: cluster.bind,
      driver: this.#opened.name,
      address,
      publicKey,
      hasOlderNodes,
      hasEchoSocket: address !== null && this.#echoSockets.isOpenAt(address),
      reached: this.#reached(),
    });
  }

  /**
   * Opens the driver. Throws when the one that is asked for cannot be had; what somebody else only holds is waited for.
   * @param earlier the overlay address of this node when it last ran; null: not known
   */
  start(nodes: Nodes, earlier: string | null): void {
    this.#isStarted = true;
    this.#open(this.#settle(nodes, earlier));
    this.#tellOpened();
    this.#nodes = nodes;
    this.#followNodes();
  }

  /** Applies what differs from before: the node's address, the cluster's keys, what the nodes announce. */
  follow({ address, clusterKeys, nodes, active }: OverlayInput): void {
    const hasMoved = address !== this.#nodeAddress;
    this.#nodeAddress = address;
    this.#active = active;
    this.#nodes = nodes;
    this.#neighbours.changeClusterKeys(clusterKeys);
    if (!this.#isStarted) return;
    if (hasMoved) this.#followNodeAddress();
    this.#followNodes();
  }

  /** From time to time: what has changed without a word is seen, what was refused is tried again. */
  tick(): void {
    const { driver } = this.#opened;
    if (driver === null) return;
    this.#tellChanges();
    if (++this.#ticks % LOOK_TICKS !== 0) return;
    if (this.#underlayAddress() !== this.#openedEnd?.underlayAddress) void this.#openAgain(this.#address);
    else this.#applyToDriver();
  }

  /** Where the other node's end is; null: the two have no overlay in common. */
  endOf(name: string): PeerEnd | null {
    const peer = this.#neighbours.all.get(name)?.peer ?? null;
    if (peer === null || this.#paths === null) return null;
    const { overlayAddress: address, underlayAddress, port, echoPort } = peer;
    return { address, underlayAddress, port, echoPort };
  }

  /** Of some node, or of this one: only the overlay leads there. */
  isInside(address: string): boolean {
    const { subnet } = this.#options.config;
    return this.#opened.driver !== null && isInSubnet(address, subnet);
  }

  /** When echoes of a node last came, in the time of the steady clock; null: nothing is known of it. */
  heard(name: string): EchoHeard | null {
    return this.#paths?.heard(name) ?? null;
  }

  /** One more echo to a node now. */
  probe(name: string): void {
    this.#paths?.probe(name);
  }

  /** What is wrong with this node's own end now. */
  get problems(): readonly EndProblem[] {
    const troubles = { driver: this.#upkeep.trouble, echoes: this.#paths?.error?.message ?? null };
    return endProblems(troubles, () => {
      const end = this.#opened.driver === null ? null : this.#openedEnd;
      return end === null ? [] : this.#options.open.inspect(end, this.#applied.peers);
    });
  }

  get status(): OverlayStatus {
    const { config, libcrypto } = this.#options;
    const { name, driver, passedOver } = this.#opened;
    return {
      driver: name,
      wanted: config.driver,
      passedOver,
      address: this.#address,
      device: driver === null ? null : deviceOf(config),
      port: config.port,
      vni: config.vni,
      subnet: config.subnet,
      encrypt: config.encrypt,
      libcrypto,
      problems: this.problems,
      peers: [...this.#neighbours.all]
        .map(([peer, neighbour]) => this.#peerStatus(peer, neighbour))
        .sort(byNode),
      rejectedTotal: driver?.rejectedTotal ?? {},
    };
  }

  async close(): Promise<void> {
    this.#isStarted = false;
    this.#upkeep.close();
    await this.#close();
    if (this.#left !== null && this.#left.fd >= 0) close(this.#left.fd);
    this.#left = null;
    this.#echoSockets.close();
  }

  /** Resolves when the driver's thread has answered. */
  async ping(): Promise<void> {
    await this.#opened.driver?.ping?.();
  }

  /** Another process opens this end, or `resume` opens it again. Its device stays. */
  async pause(): Promise<HandedOverlay> {
    this.#suspendedAddress = this.#address ?? this.#awaited;
    this.#isMoving = true;
    const { name: driver } = this.#opened;
    const fd = (await this.#stop()?.leave()) ?? null;
    this.#left = fd === null ? null : { driver, end: this.#openedEnd!, fd };
    this.#echoSockets.pause();
    return { device: this.#left };
  }

  async resume(): Promise<void> {
    if (this.#isStarted) await this.#openAgain(this.#suspendedAddress);
  }

  // --- its own end

  #settle(nodes: Nodes, current: string | null): string | null {
    const { self, config } = this.#options;
    const claims = new Map<string, string>();
    for (const [name, { overlay }] of nodes)
      if (name !== self && overlay !== null && overlay.address !== null) claims.set(name, overlay.address);
    return chooseAddress({ name: self, subnet: config.subnet, current, claims });
  }

  /** Throws when the driver cannot be had and waiting would not do. @param address null: there is none for this node */
  #open(address: string | null): void {
    const { config, open } = this.#options;
    this.#opened = NOTHING_OPEN;
    this.#address = null;
    this.#awaited = null;
    if (address === null) return;
    const end = this.#end(address);
    this.#openedEnd = end;
    const left = this.#left;
    this.#left = null;
    this.#opened = openDriver(config, end, open, () => this.#upkeep.onReport(), left);
    const { name, driver, obstacle } = this.#opened;
    if (obstacle !== null) return this.#await(address, name, obstacle);
    this.#upkeep.onOpened();
    if (driver === null) return;
    this.#address = address;
    this.#paths = this.#watch(end, driver);
  }

  #tellOpened(): void {
    if (this.#awaited !== null) return;
    const { config, log } = this.#options;
    log.opened(this.#opened, this.#address, config);
  }

  /** The driver's name stays, and with it the ports that are left to it. */
  #await(address: string, name: DriverName, error: Error): void {
    this.#opened = { ...NOTHING_OPEN, name };
    this.#awaited = address;
    this.#upkeep.onFailed(name, error);
  }

  #watch(end: OverlayEnd, { mtuBytes }: OverlayDriver): Paths {
    const { watchPaths, log } = this.#options;
    return watchPaths({
      end,
      sockets: this.#echoSockets,
      deviceMtuBytes: mtuBytes,
      onChange: () => this.#onPaths(),
      onOpen: () => this.#changed(),
      onError: (error) => log.noEchoes(error),
    });
  }

  /** Until another one is opened the driver's name stays, and with it the ports that it leaves to others. */
  async #close(): Promise<void> {
    await this.#stop()?.close();
  }

  /** The driver that ran; null: none did. */
  #stop(): OverlayDriver | null {
    const { driver } = this.#opened;
    this.#paths?.close();
    this.#paths = null;
    this.#opened = { ...this.#opened, driver: null };
    this.#applied = NOTHING_APPLIED;
    return driver;
  }

  /** A driver whose packets leave from another address than the node announces now begins anew. */
  #followNodeAddress(): void {
    if (this.#opened.driver === null || this.#isMoving) return;
    if (this.#underlayAddress() !== this.#openedEnd?.underlayAddress) void this.#openAgain(this.#address);
  }

  #followNodes(): void {
    this.#resolveClash();
    this.#neighbours.follow(this.#nodes, this.facts.announcement);
    this.#apply();
  }

  /** Two nodes may have picked one overlay address: one of them picks another. */
  #resolveClash(): void {
    const before = this.#address;
    if (before === null || this.#isMoving) return;
    const address = this.#settle(this.#nodes, before);
    if (address === before) return;
    this.#options.log.moved(before, address);
    void this.#openAgain(address);
  }

  /** A driver has one address: with another one it is another driver, which can be had once the first one has ended. */
  async #openAgain(address: string | null): Promise<void> {
    this.#isMoving = true;
    const { name, driver } = this.#opened;
    this.#address = null;
    await this.#close();
    this.#isMoving = false;
    if (!this.#isStarted) return;
    if (driver !== null) this.#neighbours.renewKeys();
    try {
      this.#open(address);
    } catch (error) {
      this.#await(address!, name, error as Error);
    }
    if (driver === null) this.#tellOpened();
    this.#logPaths(this.#up, []);
    this.#up = [];
    if (driver !== null || this.#awaited === null) this.#changed();
  }

  /** Something has happened to the device, or it is time to try again. */
  #look(): void {
    if (!this.#isStarted || this.#isMoving) return;
    if (this.#awaited !== null) void this.#openAgain(this.#settle(this.#nodes, this.#awaited));
    else this.#applyToDriver();
  }

  #end(address: string): OverlayEnd {
    const { config, cluster } = this.#options;
    return {
      address,
      prefixLength: prefixLengthOf(config.subnet),
      vni: config.vni,
      port: config.port,
      underlayAddress: this.#underlayAddress(),
      device: deviceOf(config),
      ...(config.encrypt && { relaysOnly: relayPortsAt(config.port, cluster.bind.port) }),
    };
  }

  #underlayAddress(): string {
    const { cluster, hasAddress } = this.#options;
    const { host } = cluster.bind;
    return sourceAddress(this.#nodeAddress, host, hasAddress(this.#nodeAddress)) ?? host;
  }

  // --- the others

  #peerStatus(node: string, neighbour: Neighbour): OverlayPeerStatus {
    const figures = { ...this.#paths?.figuresOf(node), ...this.#opened.driver?.figuresOf(node) };
    const isReached = neighbour.peer !== null && this.#isUp(node);
    return peerStatus(node, neighbour, { isReached, figures, refusal: this.#upkeep.refusalOf(node) });
  }

  /** What is known to go elsewhere has not to be found out by echoes. */
  #isUp(name: string): boolean {
    return this.#paths?.isUp(name) === true && this.#upkeep.refusalOf(name) === null;
  }

  #apply(): void {
    if (this.#opened.driver === null) return;
    const wanted = { peers: this.#neighbours.peers(this.#address), active: [...this.#active].sort() };
    if (Bun.deepEquals(wanted, this.#applied)) return;
    this.#applied = wanted;
    this.#applyToDriver();
    this.#paths?.setPeers(wanted.peers, this.#active);
  }

  /** Errors of the system are told and tried again: what is reached without the driver goes on. */
  #applyToDriver(): void {
    const { driver, name } = this.#opened;
    if (driver === null) return;
    const innerMtuBytes = new Map<string, number>();
    for (const { name: peer } of this.#applied.peers) {
      const mtuBytes = this.#paths?.mtuOf(peer) ?? null;
      if (mtuBytes !== null) innerMtuBytes.set(peer, mtuBytes);
    }
    const before = driver.mtuBytes;
    try {
      const { mayRepair } = this.#upkeep;
      this.#upkeep.onLooked(driver.apply(this.#applied.peers, innerMtuBytes, { mayRepair }), name);
    } catch (error) {
      this.#onFailed(error as Error);
    }
    if (driver.mtuBytes !== before) this.#paths?.setDeviceMtu(driver.mtuBytes);
    this.#tellChanges();
  }

  /** A device that a driver cannot make again under it takes another driver. */
  #onFailed(error: Error): void {
    const isGone = error instanceof OverlayError && error.code === "device-gone";
    if (!isGone) return this.#upkeep.onFailed(this.#opened.name, error);
    if (!this.#upkeep.mayRepair) return this.#upkeep.onHeld(REMOVED);
    this.#upkeep.onLooked({ repaired: [REMOVED], held: [], failures: [], refused: [] }, this.#opened.name);
    if (!this.#isMoving) void this.#openAgain(this.#address);
  }

  /** Which nodes are up, and how large packets may be. */
  #onPaths(): void {
    this.#applyToDriver();
  }

  /** A node that is gone needs no line: gossip has told of it. */
  #logPaths(before: readonly string[], after: readonly string[]): void {
    const { paths } = this.#options.log;
    const { all } = this.#neighbours;
    const left = before.filter((name) => !after.includes(name));
    for (const name of left) if (!all.has(name)) paths.forget(name);
    let problems: readonly EndProblem[] | null = null;
    const readProblems = () => (problems ??= this.problems);
    paths.changed([
      ...left.flatMap((node) => {
        const neighbour = all.get(node);
        return neighbour === undefined
          ? []
          : [{ node, isUp: false, cause: this.#upkeep.refusalOf(node) ?? causeOf(neighbour, readProblems) }];
      }),
      ...after.filter((name) => !before.includes(name)).map((node) => ({ node, isUp: true, cause: "" })),
    ]);
  }

  #tellChanges(): void {
    const up = this.#applied.peers.filter(({ name }) => this.#isUp(name)).map(({ name }) => name);
    if (Bun.deepEquals(up, this.#up)) return;
    this.#logPaths(this.#up, up);
    this.#up = up;
    this.#changed();
  }

  #changed(): void {
    this.#options.onChange(this.facts);
  }

  #reached(): Map<string, OverlayReach> {
    const reached = new Map<string, OverlayReach>();
    for (const [name, { peer, path }] of this.#neighbours.all)
      if (peer !== null && this.#isUp(name))
        reached.set(name, { address: peer.overlayAddress, isEncrypted: path.frames === "sealed" });
    return reached;
  }
}

/** Two nodes of one machine have different ports. */
function deviceOf({ port }: OverlayConfig): string {
  return `portmesh${port}`;
}
