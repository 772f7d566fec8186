/**
 * This node's part in the overlay: its address, its driver, its secrets with others, and how each of them is reached.
 *
 * It follows what the nodes announce (catalog), and announces this node itself. The overlay is used with a node as
 * soon as something has come back over it, and as long as it does; until then, and where the two have no driver in
 * common, relays go over the nodes' own addresses, sealed when one of both encrypts. So nothing is lost while one of
 * two has not heard of the other yet, or when something between them lets no UDP pass.
 */
import { isIP } from "node:net";
import type { NodeRecord, OverlayRecord } from "../../catalog/index.ts";
import type { ClusterConfig, OverlayConfig } from "../../config/index.ts";
import {
  type OverlayEnd,
  type PairPath,
  pairPath,
  prefixLengthOf,
  settleAddress,
} from "../../overlay/index.ts";
import type { Reach } from "../mesh/build-view.ts";
import { NodeKeys } from "./node-keys.ts";
import { type OpenDrivers, type OpenedDriver, type OverlayDriver, openDriver } from "./open-driver.ts";
import type { OverlayLog } from "./overlay-log.ts";
import { NO_FIGURES, type OverlayPeerStatus, type OverlayStatus } from "./overlay-status.ts";
import type { PathWatch, PathWatchOptions, WatchedPeer } from "./path-watch.ts";

export interface OverlayOptions {
  /** Name of this node. */
  readonly self: string;
  readonly config: OverlayConfig;
  readonly cluster: ClusterConfig;
  /** Literal address that others reach this node by. */
  readonly address: string;
  readonly open: OpenDrivers;
  readonly watchPaths: (options: Omit<PathWatchOptions, "random">) => Paths;
  readonly log: Pick<OverlayLog, "opened" | "moved" | "failed" | "noEchoes" | "refused">;
  /** Others are reached in another way than before, or this node has something else to announce. */
  readonly onChange: () => void;
}

export type Paths = Pick<PathWatch, "setPeers" | "setDeviceMtu" | "isUp" | "mtuOf" | "figuresOf" | "close">;

type Nodes = ReadonlyMap<string, NodeRecord>;

/** What is known of another node. */
interface Neighbour {
  readonly overlay: OverlayRecord;
  /** It has said nothing: a version without an overlay. */
  readonly isSilent: boolean;
  readonly path: PairPath;
  /** null: the driver has nothing to do with it. */
  readonly peer: WatchedPeer | null;
}

interface Applied {
  readonly peers: readonly WatchedPeer[];
  /** Names. */
  readonly active: readonly string[];
}

const NOTHING_APPLIED: Applied = { peers: [], active: [] };
const NOTHING_OPEN: OpenedDriver = { name: "none", driver: null, passedOver: [] };
/** Ticks between two looks at the device and the routes of the machine. */
const LOOK_TICKS = 10;
const NO_ANSWER = "nothing has come back over the overlay yet";
/** Of nodes that have not said how they take part. */
const SILENT = { driver: "none", address: null, encrypt: false, publicKey: null } as const;

export class Overlay {
  readonly #options: OverlayOptions;
  #keys: NodeKeys | null;
  #clusterKeys: readonly string[];
  #address: string | null = null;
  #opened = NOTHING_OPEN;
  #paths: Paths | null = null;
  #isStarted = false;
  #isMoving = false;
  #neighbours: ReadonlyMap<string, Neighbour> = new Map();
  /** Names of those that packets go to. */
  #active: ReadonlySet<string> = new Set();
  /** What the driver and the watch of the paths have. */
  #applied = NOTHING_APPLIED;
  #isRefused = false;
  /** Names of those that the overlay reaches, as last told. */
  #up: readonly string[] = [];
  #ticks = 0;
  /** By public key of other nodes; emptied when the cluster's keys change. */
  readonly #secrets = new Map<string, readonly string[] | null>();

  constructor(options: OverlayOptions) {
    this.#options = options;
    this.#clusterKeys = options.cluster.keys;
    this.#keys = this.#clusterKeys.length === 0 ? null : new NodeKeys();
  }

  /** What this node tells all others. */
  get announcement(): OverlayRecord {
    const { vni, port, encrypt } = this.#options.config;
    const publicKey = this.#keys?.publicKey ?? null;
    return { driver: this.#opened.name, address: this.#address, vni, port, encrypt, publicKey };
  }

  /** Port of this node's relay for UDP. */
  get udpPort(): number {
    return udpPortOf(this.announcement);
  }

  /** Addresses of this node that only the overlay leads to. */
  get addresses(): readonly string[] {
    return this.#address === null ? [] : [this.#address];
  }

  /** Where relays in clear are taken: where this node encrypts only over an overlay that does. */
  get acceptsClear(): "always" | readonly string[] {
    if (!this.#options.config.encrypt) return "always";
    return this.#opened.name === "userspace" ? this.addresses : [];
  }

  /**
   * Opens the driver. Throws when the one that is asked for cannot be had.
   * @param earlier the overlay address of this node when it last ran; null: not known
   */
  start(nodes: Nodes, earlier: string | null): void {
    const { config, log } = this.#options;
    this.#isStarted = true;
    this.#address = this.#settle(nodes, earlier);
    this.#open();
    log.opened(this.#opened, this.#address, config);
    this.follow(nodes);
  }

  /** The nodes announce this now. @param active names of those that packets go to */
  follow(nodes: Nodes, active: ReadonlySet<string> = this.#active): void {
    this.#active = active;
    if (!this.#isStarted) return;
    this.#followAddress(nodes);
    const { self } = this.#options;
    const others = [...nodes].filter(([name, { relay }]) => name !== self && relay !== null);
    this.#neighbours = new Map(others.map(([name, node]) => [name, this.#neighbour(name, node)]));
    this.#forgetSecrets();
    this.#apply();
  }

  /** From time to time: what has changed without a word is seen, what was refused is tried again. */
  tick(): void {
    const { driver } = this.#opened;
    if (driver === null) return;
    this.#tellChanges();
    if (++this.#ticks % LOOK_TICKS !== 0) return;
    const before = driver.mtuBytes;
    this.#applyToDriver();
    if (driver.mtuBytes !== before) this.#paths?.setDeviceMtu(driver.mtuBytes);
  }

  /** The file has other keys. */
  changeKeys(clusterKeys: readonly string[], nodes: Nodes): void {
    if (Bun.deepEquals(clusterKeys, this.#clusterKeys)) return;
    this.#clusterKeys = clusterKeys;
    this.#secrets.clear();
    this.follow(nodes);
  }

  /** How the relay of a node is reached now; null: it has none. */
  reach(name: string, { relay, overlay }: NodeRecord): Reach | null {
    if (relay === null) return null;
    const neighbour = this.#neighbours.get(name);
    const announced = overlay ?? { ...SILENT, vni: 0, port: relay.port };
    const udpPort = udpPortOf(announced);
    const isEncrypted = this.#options.config.encrypt || announced.encrypt;
    if (neighbour?.peer == null || this.#paths?.isUp(name) !== true)
      return { address: relay.address, port: relay.port, udpPort, isSealed: isEncrypted };
    const isSealed = isEncrypted && neighbour.path.frames !== "sealed";
    return { address: neighbour.peer.overlayAddress, port: relay.port, udpPort, isSealed };
  }

  get status(): OverlayStatus {
    const { config } = this.#options;
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
      peers: [...this.#neighbours].map(([peer, neighbour]) => this.#peerStatus(peer, neighbour)).sort(byNode),
      rejectedTotal: driver?.rejectedTotal ?? {},
    };
  }

  async close(): Promise<void> {
    this.#isStarted = false;
    await this.#close();
  }

  // --- its own end

  #settle(nodes: Nodes, current: string | null): string | null {
    const { self, config } = this.#options;
    const claims = new Map<string, string>();
    for (const [name, { overlay }] of nodes)
      if (name !== self && overlay !== null && overlay.address !== null) claims.set(name, overlay.address);
    return settleAddress({ name: self, subnet: config.subnet, current, claims });
  }

  #open(): void {
    const { config, open } = this.#options;
    if (this.#address === null) return;
    const end = this.#end(this.#address);
    this.#opened = openDriver(config, end, open);
    if (this.#opened.driver === null) this.#address = null;
    else this.#paths = this.#watch(end, this.#opened.driver);
  }

  #watch(end: OverlayEnd, { mtuBytes }: OverlayDriver): Paths {
    const { watchPaths, log } = this.#options;
    return watchPaths({
      end,
      deviceMtuBytes: mtuBytes,
      onChange: () => this.#onPaths(),
      onError: (error) => log.noEchoes(error),
    });
  }

  async #close(): Promise<void> {
    const { driver } = this.#opened;
    this.#paths?.close();
    this.#paths = null;
    this.#opened = NOTHING_OPEN;
    this.#applied = NOTHING_APPLIED;
    await driver?.close();
  }

  #followAddress(nodes: Nodes): void {
    const before = this.#address;
    if (before === null || this.#isMoving) return;
    const address = this.#settle(nodes, before);
    if (address !== before) void this.#moveTo(address, before);
  }

  /** A driver has one address: with another one it is another driver, which can be had once the first one has ended. */
  async #moveTo(address: string | null, before: string): Promise<void> {
    const { log, onChange } = this.#options;
    log.moved(before, address);
    this.#isMoving = true;
    const { name } = this.#opened;
    this.#address = null;
    await this.#close();
    this.#isMoving = false;
    if (!this.#isStarted) return;
    this.#address = address;
    // the driver has forgotten which counters it has used, and may have that address again
    if (this.#keys !== null) this.#keys = new NodeKeys();
    this.#secrets.clear();
    try {
      this.#open();
    } catch (error) {
      this.#address = null;
      log.failed(name, error as Error);
    }
    onChange();
  }

  #end(address: string): OverlayEnd {
    const { config, cluster } = this.#options;
    return {
      address,
      prefixLength: prefixLengthOf(config.subnet),
      vni: config.vni,
      port: config.port,
      underlayAddress: cluster.bind.host,
      device: deviceOf(config),
    };
  }

  // --- the others

  #neighbour(name: string, { relay, overlay }: NodeRecord): Neighbour {
    const announced = overlay ?? { ...SILENT, vni: 0, port: relay!.port };
    const path = this.#pathTo(announced, relay!.address);
    const known = { overlay: announced, isSilent: overlay === null };
    if (path.frames === null) return { ...known, path, peer: null };
    const echoSecrets = announced.publicKey === null ? null : this.#secretsWith(announced.publicKey);
    const secrets = path.frames === "sealed" ? echoSecrets : null;
    if (path.frames === "sealed" && secrets === null) {
      const problem = "its public key is not one to encrypt with";
      return { ...known, path: { ...path, frames: null, problem }, peer: null };
    }
    const { address: overlayAddress, port } = announced;
    const underlayAddress = relay!.address;
    const peer = { name, overlayAddress: overlayAddress!, underlayAddress, port, secrets, echoSecrets };
    return { ...known, path, peer };
  }

  #pathTo(announced: OverlayRecord, underlayAddress: string): PairPath {
    const { config, address } = this.#options;
    const path = pairPath(this.announcement, announced, config.subnet);
    if (path.frames === null || isIP(underlayAddress) === isIP(address)) return path;
    return {
      ...path,
      frames: null,
      problem: `its address ${underlayAddress} is of another family than ours`,
    };
  }

  #secretsWith(publicKey: string): readonly string[] | null {
    const known = this.#secrets.get(publicKey);
    if (known !== undefined) return known;
    const secrets = this.#keys?.secretsWith(publicKey, this.#clusterKeys, this.#options.cluster.name) ?? null;
    this.#secrets.set(publicKey, secrets);
    return secrets;
  }

  /** Of nodes that are gone or have started again. */
  #forgetSecrets(): void {
    const used = new Set([...this.#neighbours.values()].map(({ overlay }) => overlay.publicKey));
    for (const publicKey of this.#secrets.keys()) if (!used.has(publicKey)) this.#secrets.delete(publicKey);
  }

  #peerStatus(node: string, { overlay, path, peer, isSilent }: Neighbour): OverlayPeerStatus {
    const isInside = peer !== null && this.#paths?.isUp(node) === true;
    const encryption = isInside && path.frames === "sealed" ? "frames" : "relay";
    return {
      node,
      driver: isSilent ? null : overlay.driver,
      address: overlay.address,
      path: isInside ? "overlay" : "direct",
      encryption: path.isEncrypted ? encryption : "none",
      problem: path.problem ?? (peer === null || isInside ? null : NO_ANSWER),
      ...NO_FIGURES,
      ...(peer !== null && this.#paths?.figuresOf(node)),
      ...(peer !== null && this.#opened.driver?.figuresOf(node)),
    };
  }

  /** Two may claim one address until they have settled it: it is the lower name's. */
  #apply(): void {
    const peers = new Map<string, WatchedPeer>();
    for (const [, { peer }] of [...this.#neighbours].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (peer !== null && peer.overlayAddress !== this.#address && !peers.has(peer.overlayAddress))
        peers.set(peer.overlayAddress, peer);
    const wanted = { peers: [...peers.values()], active: [...this.#active].sort() };
    if (Bun.deepEquals(wanted, this.#applied)) return;
    this.#applied = wanted;
    this.#applyToDriver();
    this.#paths?.setPeers(wanted.peers, this.#active);
  }

  /** Errors of the system are told and tried again: what is reached without the driver goes on. */
  #applyToDriver(): void {
    const { driver, name } = this.#opened;
    const innerMtuBytes = new Map<string, number>();
    for (const { name: peer } of this.#applied.peers) {
      const mtuBytes = this.#paths?.mtuOf(peer) ?? null;
      if (mtuBytes !== null) innerMtuBytes.set(peer, mtuBytes);
    }
    try {
      driver?.apply(this.#applied.peers, innerMtuBytes);
      this.#isRefused = false;
    } catch (error) {
      if (!this.#isRefused) this.#options.log.refused(name, error as Error);
      this.#isRefused = true;
    }
  }

  /** Which nodes are up, and how large packets may be. */
  #onPaths(): void {
    this.#applyToDriver();
    this.#tellChanges();
  }

  #tellChanges(): void {
    const up = this.#applied.peers.filter(({ name }) => this.#paths?.isUp(name)).map(({ name }) => name);
    if (Bun.deepEquals(up, this.#up)) return;
    this.#up = up;
    this.#options.onChange();
  }
}

/** Two nodes of one machine have different ports. */
function deviceOf({ port }: OverlayConfig): string {
  return `portmesh${port}`;
}

function byNode(one: OverlayPeerStatus, other: OverlayPeerStatus): number {
  return one.node < other.node ? -1 : 1;
}

/** Where a driver holds the overlay's port, UDP relays take the next one. */
function udpPortOf({ driver, port }: Pick<OverlayRecord, "driver" | "port">): number {
  return driver === "none" ? port : port + 1;
}
