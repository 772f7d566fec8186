/**
 * The `userspace` driver: a TUN device, and a thread that carries its packets over UDP, as VXLAN frames that a kernel's
 * VXLAN device understands.
 *
 * The device, its address and its routes are this node's alone, are made what they have to be on every apply
 * (reconcile/), and go with its descriptor, however the process ends.
 */
import { Slots } from "../../sys/slots.ts";
import { close } from "../../sys/socket.ts";
import type { TunOffload } from "../../sys/tun.ts";
import { type IpFamily, parseIp } from "../../wire/index.ts";
import type { OverlayEnd, OverlayPeer } from "../driver.ts";
import { aliasOf } from "../kernel/mark.ts";
import { openSession } from "../open-session.ts";
import { OverlayError } from "../overlay-error.ts";
import { innerMtu, sealedOverheadBytes, vxlanOverheadBytes } from "../path/overhead.ts";
import { type PeerEntry, planEntries } from "../plan-entries.ts";
import {
  DeviceKeeper,
  DeviceWatch,
  type Look,
  type LookOptions,
  type WantedDevice,
} from "../reconcile/index.ts";
import { type NetlinkSession, setLink } from "../rtnetlink/index.ts";
import { localUnderlayMtu, underlayMtu } from "../underlay-mtu.ts";
import {
  clearRow,
  createCounters,
  MAX_PEERS,
  type PeerCounts,
  readCounts,
  UNKNOWN_PEER,
} from "./counters.ts";
import { adoptDevice, GSO_BYTES_MAX, openDevice, type TunDevice } from "./device.ts";
import { explainNetlink } from "./explain-netlink.ts";
import { openUnderlaySocket, type UnderlaySocket } from "./underlay-socket.ts";
import { WorkerThread } from "./worker-thread.ts";

/** Every IPv4 host must accept packets of this size (RFC 791): a smaller MTU is a mistake. */
const MTU_BYTES_MIN = 576;

export interface UserspaceOverlayOptions {
  /** "<cluster>/<node>": whose the device is. Printable, below 240 bytes. */
  readonly owner: string;
  /** All plain frames are dropped. */
  readonly isEncrypting?: boolean;
  /** Of inner packets; without it what the underlay's interface leaves, followed with every apply. */
  readonly mtuBytes?: number;
  /** The kernel has reported something about the device or about routes into the subnet: time to apply again. */
  readonly onReport?: () => void;
  /** Of a device of the same end that another process of this node has made. */
  readonly tunFd?: number | undefined;
}

export class UserspaceOverlay {
  readonly #session: NetlinkSession;
  readonly #end: OverlayEnd;
  readonly #family: IpFamily;
  readonly #alias: string;
  readonly #device: TunDevice;
  readonly #keeper: DeviceKeeper;
  readonly #watch: DeviceWatch | null;
  readonly #socket: UnderlaySocket;
  readonly #thread: WorkerThread;
  readonly #counters = createCounters();
  /** by name; the row is one more, as row 0 counts unknown peers */
  readonly #rows = new Slots(MAX_PEERS, "overlay peers");
  /** Of the peers that were applied last. */
  #names: ReadonlySet<string> = new Set();
  /** null: what the underlay leaves. */
  #fixedMtuBytes: number | null;
  #mtuBytes: number;
  /** Of the interface that the underlay begins with. */
  #localMtuBytes: number;
  readonly #isEncrypting: boolean;
  #isClosed = false;

  private constructor(session: NetlinkSession, end: OverlayEnd, options: UserspaceOverlayOptions) {
    this.#session = session;
    this.#end = end;
    this.#family = parseIp(end.underlayAddress)?.family ?? 4;
    this.#alias = aliasOf(options.owner);
    this.#isEncrypting = options.isEncrypting ?? false;
    this.#fixedMtuBytes = options.mtuBytes ?? null;
    this.#localMtuBytes = localUnderlayMtu(session, end.underlayAddress);
    this.#mtuBytes = this.#currentMtu();
    this.#socket = openUnderlaySocket(end);
    try {
      this.#device = this.#openDevice(options.tunFd);
    } catch (error) {
      close(this.#socket.fd);
      throw error;
    }
    const { interfaceIndex } = this.#device;
    const { onReport } = options;
    this.#keeper = new DeviceKeeper(session, interfaceIndex, this.#mtuBytes);
    this.#watch = onReport === undefined ? null : new DeviceWatch(end, interfaceIndex, onReport);
    this.#thread = new WorkerThread({
      tunFd: this.#device.fd,
      socketFd: this.#socket.fd,
      family: this.#socket.family,
      address: end.address,
      vni: end.vni,
      localMtu: this.#localMtuBytes,
      isEncrypting: this.#isEncrypting,
      counters: this.#counters,
    });
  }

  /** The device is up with its address, without peers. Throws OverlayError; then nothing has changed. */
  static open(end: OverlayEnd, options: UserspaceOverlayOptions): UserspaceOverlay {
    const session = openSession(end);
    try {
      return new UserspaceOverlay(session, end, options);
    } catch (error) {
      session.close();
      throw explainNetlink(error, end);
    }
  }

  /** MTU of the device: of inner packets, at most. */
  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  /** What the kernel hands over uncut, and whether it hands over datagrams joined. */
  get offloads(): { readonly tun: TunOffload; readonly isReceivingJoined: boolean } {
    return { tun: this.#device.offload, isReceivingJoined: this.#socket.isJoined };
  }

  /**
   * These are the peers from now on; `applied` resolves when the worker knows, routes are there at once.
   * `innerMtuBytes` is by name; who is not in it gets what the route to it leaves. Throws OverlayError "device-gone".
   */
  apply(
    peers: readonly OverlayPeer[],
    innerMtuBytes: ReadonlyMap<string, number> = new Map(),
    options: LookOptions = { mayRepair: true },
  ): Look & { readonly applied: Promise<void> } {
    try {
      this.#followMtu();
      const mtuOf = (peer: OverlayPeer) =>
        Math.min(this.#pathMtu(peer, innerMtuBytes.get(peer.name) ?? null), this.#mtuBytes);
      const { entries, refused } = planEntries(this.#end, peers, mtuOf);
      const accepted = new Set(entries.map(({ name }) => name));
      const applied = this.#tellWorker(peers.filter(({ name }) => accepted.has(name)));
      const look = this.#keeper.look(this.#wanted(entries), options);
      if (look === null)
        throw new OverlayError("device-gone", `cannot use ${this.#end.device}: it was removed`);
      return { ...look, refused: [...refused, ...look.refused], applied };
    } catch (error) {
      throw explainNetlink(error, this.#end);
    }
  }

  /** Of the device, from now on; null: what the underlay leaves. Peers' routes follow with the next apply. */
  setMtu(mtuBytes: number | null): void {
    this.#fixedMtuBytes = mtuBytes;
    this.#mtuBytes = this.#currentMtu();
    try {
      setLink(this.#session, this.#keeper.interfaceIndex, { mtuBytes: this.#mtuBytes });
    } catch (error) {
      throw explainNetlink(error, this.#end);
    }
  }

  /** MTU of the underlay's current path to an address; null: no route. */
  underlayMtu(address: string): number | null {
    return underlayMtu(this.#session, address);
  }

  /** Of a peer since it was first applied; null: no such peer. */
  countsOf(name: string): PeerCounts | null {
    const slot = this.#rows.get(name);
    return slot === undefined ? null : readCounts(this.#counters, 1 + slot);
  }

  /** Of what no peer can be blamed for. */
  get counts(): PeerCounts {
    return readCounts(this.#counters, UNKNOWN_PEER);
  }

  /** Resolves when the worker has answered. */
  async ping(): Promise<void> {
    if (!this.#isClosed) await this.#thread.ping();
  }

  /** Device, address, routes and socket are gone when it resolves. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.leave();
    close(this.#device.fd);
  }

  /** Ends, but for the device with its address and routes: the descriptor that keeps it is the caller's now. */
  async leave(): Promise<number> {
    this.#isClosed = true;
    this.#watch?.close();
    this.#session.close();
    await this.#thread.stop();
    close(this.#socket.fd);
    return this.#device.fd;
  }

  #openDevice(tunFd: number | undefined): TunDevice {
    if (tunFd !== undefined) {
      const adopted = adoptDevice(this.#session, this.#end, this.#alias, tunFd);
      if (adopted !== null) return adopted;
      close(tunFd);
    }
    return openDevice(this.#session, this.#end, this.#alias, this.#mtuBytes);
  }

  /** Rows of peers that have left are free once the worker writes to them no more. */
  async #tellWorker(peers: readonly OverlayPeer[]): Promise<void> {
    const names = new Set(peers.map(({ name }) => name));
    this.#names = names;
    await this.#thread.setPeers(peers.map((peer) => ({ ...peer, row: 1 + this.#rows.take(peer.name) })));
    // a later list is on its way, and releases what neither of both has
    if (this.#names !== names) return;
    for (const name of [...this.#rows.keys()]) {
      if (names.has(name)) continue;
      clearRow(this.#counters, 1 + this.#rows.get(name)!);
      this.#rows.release(name);
    }
  }

  #followMtu(): void {
    const localMtuBytes = localUnderlayMtu(this.#session, this.#end.underlayAddress);
    if (localMtuBytes !== this.#localMtuBytes) this.#thread.setLocalMtu(localMtuBytes);
    this.#localMtuBytes = localMtuBytes;
    this.#mtuBytes = this.#currentMtu();
  }

  #wanted(peers: readonly PeerEntry[]): WantedDevice {
    const { device, address, prefixLength } = this.#end;
    return {
      name: device,
      alias: this.#alias,
      mtuBytes: this.#mtuBytes,
      address,
      prefixLength,
      frames: null,
      gsoMaxBytes: GSO_BYTES_MAX,
      peers,
    };
  }

  #currentMtu(): number {
    if (this.#fixedMtuBytes !== null) return this.#fixedMtuBytes;
    return this.#innerMtu(this.#localMtuBytes, this.#isEncrypting);
  }

  /**
   * What fits a datagram to the peer as far as is known; larger packets are sealed in two, which costs more. What the
   * route says, which may be what a stranger's ICMP said, counts only until something has proved what arrives.
   */
  #pathMtu({ name, underlayAddress, secrets }: OverlayPeer, provedBytes: number | null): number {
    const sealedBytes = secrets === null ? null : (this.countsOf(name)?.sealed?.mtuBytes ?? null);
    if (sealedBytes === null && provedBytes !== null) return provedBytes;
    const underlayBytes = sealedBytes ?? this.underlayMtu(underlayAddress);
    if (underlayBytes === null) return this.#mtuBytes;
    return Math.min(provedBytes ?? this.#mtuBytes, this.#innerMtu(underlayBytes, secrets !== null));
  }

  #innerMtu(underlayBytes: number, isSealed: boolean): number {
    const overheadBytes = (isSealed ? sealedOverheadBytes : vxlanOverheadBytes)(this.#family);
    return Math.max(innerMtu(underlayBytes, overheadBytes), MTU_BYTES_MIN);
  }
}
