/**
 * The sealed peers of a userspace node and their traffic: datagrams in, packets for the device out. Peers keep their keys
 * when other peers are added or removed, and when the cluster's keys change.
 */
import { type Arena, MOVABLE_BYTES } from "../../../sys/arena.ts";
import { Libcrypto } from "../../../sys/libcrypto.ts";
import { Gcm, MAX_SEAL_BYTES } from "../../../wire/index.ts";
import { udpOverheadBytes } from "../../path/overhead.ts";
import { wordOf } from "../../seal/ipv4-word.ts";
import { PairKeyCache } from "../../seal/pair-key-cache.ts";
import { SealReceiver, type SealRejection, type SealSink } from "../../seal/seal-receiver.ts";
import { SealSender } from "../../seal/seal-sender.ts";
import { SealedPeer } from "../../seal/sealed-peer.ts";
import { type Counters, F_BYTES_IN, F_DATAGRAMS_IN, type FrameDrop, UNKNOWN_PEER } from "../counters.ts";
import type { RemotePeer } from "../peer/remote-peer.ts";
import type { TunWriter } from "../peer/tun-writer.ts";
import type { WorkerPeer, WorkerSetup } from "../worker-messages.ts";
import { SealedPath } from "./sealed-path.ts";

/** A seal, in whole words. */
const GATHER_BYTES = MAX_SEAL_BYTES + 1;

export function sealedPeersBytes(): number {
  return GATHER_BYTES + 64;
}

export class SealedPeers implements SealSink {
  readonly sender: SealSender;
  readonly #receiver: SealReceiver;
  readonly #cache = new PairKeyCache();
  /** By name. */
  #paths = new Map<string, SealedPath>();
  #byPeer = new Map<SealedPeer, SealedPath>();
  #sockaddrAt = 0;
  #localMtu: number;
  readonly #isFrom = (peer: SealedPeer) =>
    this.#byPeer.get(peer)?.remote?.isAt(this.arena, this.#sockaddrAt) === true;

  constructor(
    readonly arena: Arena,
    readonly setup: WorkerSetup,
    readonly tun: TunWriter,
    readonly counters: Counters,
  ) {
    const { bytes, view } = arena;
    this.#localMtu = setup.localMtu;
    // what libcrypto seals is good until its next seal: only that which is copied for sending may come from there
    const gcm = new Gcm(Libcrypto.open(), MOVABLE_BYTES - 1);
    this.sender = new SealSender(setup.socketFd, arena, gcm);
    const gatherAt = arena.take(GATHER_BYTES);
    this.#receiver = new SealReceiver({ bytes, view, gatherAt }, wordOf(setup.address), this, gcm);
  }

  get isEmpty(): boolean {
    return this.#paths.size === 0;
  }

  /** The way to a peer with secrets: the one it had, with these secrets from now on, where it is the same peer. */
  pathTo(config: WorkerPeer): SealedPath {
    const known = this.#paths.get(config.name);
    if (known?.remote?.config.overlayAddress === config.overlayAddress && known.row === config.row) {
      known.peer.changeSecrets(config.secrets!, performance.now());
      return known;
    }
    return this.#newPath(config);
  }

  /** Those are the peers from now on; each has its way. */
  setPeers(remotes: readonly RemotePeer[]): void {
    this.#paths = new Map();
    this.#byPeer = new Map();
    for (const remote of remotes) {
      const { path } = remote;
      if (!(path instanceof SealedPath)) continue;
      path.remote = remote;
      path.name = remote.sockaddrBytes;
      path.canSegment = remote.maySegment;
      this.#paths.set(remote.config.name, path);
      this.#byPeer.set(path.peer, path);
      path.peer.keepKeys(performance.now());
    }
    this.#receiver.setPeers(this.#byPeer.keys());
  }

  /** Datagrams of `segmentBytes` each, the last one perhaps shorter, from one sender. */
  receive(at: number, length: number, segmentBytes: number, sockaddrAt: number): void {
    this.#sockaddrAt = sockaddrAt;
    this.#receiver.receive(at, length, segmentBytes, this.#isFrom);
  }

  /** Of the interface that the underlay begins with, from now on. */
  setLocalMtu(bytes: number): void {
    this.#localMtu = bytes;
    for (const { peer } of this.#paths.values()) peer.path.onLocalMtu(bytes, performance.now());
  }

  tick(nowMs: number): void {
    for (const path of this.#paths.values()) path.tick(nowMs);
  }

  onPacket(peer: SealedPeer, packet: Uint8Array): void {
    this.tun.writeBuffer(packet, this.#rowOf(peer));
  }

  onControl(peer: SealedPeer, message: Uint8Array, datagramBytes: number): void {
    this.#byPeer.get(peer)?.onControl(message, datagramBytes);
  }

  onOpened(peer: SealedPeer, datagrams: number, bytes: number): void {
    const row = this.#rowOf(peer);
    this.counters.add(row, F_DATAGRAMS_IN, datagrams);
    this.counters.add(row, F_BYTES_IN, bytes);
  }

  onRejected(reason: SealRejection, peer: SealedPeer | null, datagrams: number): void {
    const row = peer === null ? UNKNOWN_PEER : this.#rowOf(peer);
    this.counters.dropFrames(row, DROP_OF[reason], datagrams);
  }

  #rowOf(peer: SealedPeer): number {
    return this.#byPeer.get(peer)?.row ?? UNKNOWN_PEER;
  }

  #newPath(config: WorkerPeer): SealedPath {
    const { address } = this.setup;
    const overheadBytes = udpOverheadBytes(config.underlayAddress.includes(":") ? 6 : 4);
    const peer = new SealedPeer({
      ownAddress: address,
      peerAddress: config.overlayAddress,
      secrets: config.secrets!,
      cache: this.#cache,
      udpOverheadBytes: overheadBytes,
      localMtu: this.#localMtu,
      random: Math.random,
      nowMs: performance.now(),
    });
    return new SealedPath(peer, config.row, this.sender, this.counters, overheadBytes);
  }
}

const DROP_OF: Readonly<Record<SealRejection, FrameDrop>> = {
  short: "short",
  malformed: "malformed",
  "unknown-key": "unknown-key",
  "wrong-source": "wrong-source",
  replay: "replay",
  "bad-tag": "bad-tag",
  "malformed-inner": "malformed",
  "spoofed-inner-source": "spoofed-inner-source",
  "not-for-us": "not-for-us",
};
