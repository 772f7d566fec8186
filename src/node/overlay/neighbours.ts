/**
 * The other nodes as the overlay needs them: how each is reached by what both have announced, and the secrets that this
 * node has with each.
 */
import { isIP } from "node:net";
import type { NodeRecord, OverlayRecord } from "../../catalog/index.ts";
import { type PairPath, pairPath } from "../../overlay/index.ts";
import { announcementOf, relayPortsAt, udpPortOf } from "../facts/relay-ports.ts";
import { NodeKeys } from "./node-keys.ts";
import type { WatchedPeer } from "./path-watch.ts";

export type Nodes = ReadonlyMap<string, NodeRecord>;

/** What is known of another node. */
export interface Neighbour {
  readonly overlay: OverlayRecord;
  /** It has said nothing: a version without an overlay. */
  readonly isSilent: boolean;
  /** Its node address is of another family than ours. */
  readonly isOtherFamily: boolean;
  readonly path: PairPath;
  /** null: the driver has nothing to do with it. */
  readonly peer: WatchedPeer | null;
}

export interface NeighboursOptions {
  /** Name of this node. */
  readonly self: string;
  /** Canonical prefix of the overlay. */
  readonly subnet: string;
  readonly clusterName: string;
  readonly clusterKeys: readonly string[];
  /** Literal address that others reach this node by. */
  readonly address: string;
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  #keys: NodeKeys | null;
  #clusterKeys: readonly string[];
  #all: ReadonlyMap<string, Neighbour> = new Map();
  #hasOlderNodes = false;
  /** By public key of other nodes; emptied when the keys on this side change. */
  readonly #secrets = new Map<string, readonly string[] | null>();

  constructor(options: NeighboursOptions) {
    this.#options = options;
    this.#clusterKeys = options.clusterKeys;
    this.#keys = options.clusterKeys.length === 0 ? null : new NodeKeys();
  }

  /** Of this node; null: it has no key. */
  get publicKey(): string | null {
    return this.#keys?.publicKey ?? null;
  }

  get all(): ReadonlyMap<string, Neighbour> {
    return this.#all;
  }

  /** Some do not announce their UDP relay port, and assume the former one of others. */
  get hasOlderNodes(): boolean {
    return this.#hasOlderNodes;
  }

  /** The peers of the driver. While two nodes claim one address, the lower name has it. */
  peers(ownAddress: string | null): WatchedPeer[] {
    const peers = new Map<string, WatchedPeer>();
    for (const [, { peer }] of [...this.#all].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (peer !== null && peer.overlayAddress !== ownAddress && !peers.has(peer.overlayAddress))
        peers.set(peer.overlayAddress, peer);
    return [...peers.values()];
  }

  /** The nodes announce this now, and this node that. */
  follow(nodes: Nodes, own: OverlayRecord): void {
    const others = [...nodes].filter(([name, { relay }]) => name !== this.#options.self && relay !== null);
    this.#all = new Map(others.map(([name, node]) => [name, this.#neighbour(name, node, own)]));
    this.#hasOlderNodes = others.some(([, { relay }]) => relay!.udpPort === undefined);
    this.#forgetSecrets();
  }

  changeClusterKeys(clusterKeys: readonly string[]): void {
    if (Bun.deepEquals(clusterKeys, this.#clusterKeys)) return;
    this.#clusterKeys = clusterKeys;
    this.#secrets.clear();
  }

  /** A driver that begins anew has forgotten which counters it has used: it must not have a secret that it had. */
  renewKeys(): void {
    if (this.#keys !== null) this.#keys = new NodeKeys();
    this.#secrets.clear();
  }

  #neighbour(name: string, node: NodeRecord, own: OverlayRecord): Neighbour {
    const announced = announcementOf(node);
    const underlayAddress = node.relay!.address;
    const path = this.#pathTo(own, announced, underlayAddress);
    const isOtherFamily = isIP(underlayAddress) !== isIP(this.#options.address);
    const known = { overlay: announced, isSilent: node.overlay === null, isOtherFamily };
    if (path.frames === null) return { ...known, path, peer: null };
    const echoSecrets = announced.publicKey === null ? null : this.#secretsWith(announced.publicKey);
    const secrets = path.frames === "sealed" ? echoSecrets : null;
    if (path.frames === "sealed" && secrets === null) {
      const problem = "its public key is not valid";
      return { ...known, path: { ...path, frames: null, problem }, peer: null };
    }
    const { address: overlayAddress, port } = announced;
    const udpPort = udpPortOf(node);
    const relayPorts = relayPortsAt(node.relay!.port, udpPort);
    const peer = {
      ...{ name, overlayAddress: overlayAddress!, underlayAddress, port, relayPorts },
      ...{ secrets, echoPort: udpPort, echoSecrets },
    };
    return { ...known, path, peer };
  }

  #pathTo(own: OverlayRecord, announced: OverlayRecord, underlayAddress: string): PairPath {
    const { address, subnet } = this.#options;
    const path = pairPath(own, announced, subnet);
    if (path.frames === null || isIP(underlayAddress) === isIP(address)) return path;
    const problem = `its address ${underlayAddress} is not of this node's address family`;
    return { ...path, frames: null, problem };
  }

  #secretsWith(publicKey: string): readonly string[] | null {
    const known = this.#secrets.get(publicKey);
    if (known !== undefined) return known;
    const secrets = this.#keys?.secretsWith(publicKey, this.#clusterKeys, this.#options.clusterName) ?? null;
    this.#secrets.set(publicKey, secrets);
    return secrets;
  }

  /** Of nodes that are gone or have started again. */
  #forgetSecrets(): void {
    const used = new Set([...this.#all.values()].map(({ overlay }) => overlay.publicKey));
    for (const publicKey of this.#secrets.keys()) if (!used.has(publicKey)) this.#secrets.delete(publicKey);
  }
}
