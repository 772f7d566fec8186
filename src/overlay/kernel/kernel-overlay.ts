/**
 * The `kernel` driver: a VXLAN device of the kernel, kept in step with the members of the cluster. No packet passes
 * through this process.
 *
 * The device is this node's alone: its entries, its address, its state are made what they have to be on every apply
 * (reconcile/), and it is created again when it was removed. Nothing else on the machine is changed.
 */
import { type IpFamily, parseIp } from "../../wire/index.ts";
import type { LinkCounters } from "../../wire/netlink/index.ts";
import { macOf } from "../address-plan.ts";
import type { OverlayEnd, OverlayPeer } from "../driver.ts";
import { openSession } from "../open-session.ts";
import { OverlayError } from "../overlay-error.ts";
import { innerMtu, vxlanOverheadBytes } from "../path/overhead.ts";
import { type PeerEntry, planEntries } from "../plan-entries.ts";
import {
  DeviceKeeper,
  DeviceWatch,
  type Look,
  type LookOptions,
  REMOVED,
  type WantedDevice,
} from "../reconcile/index.ts";
import { macText } from "../rtnetlink/address-text.ts";
import { countFiltered, deleteLink, findLink, type NetlinkSession, setLink } from "../rtnetlink/index.ts";
import { localUnderlayMtu, underlayMtu } from "../underlay-mtu.ts";
import { createDevice, findOwnDevice, removeDevice } from "./device.ts";
import { frameFilter } from "./frame-filter.ts";
import { aliasOf } from "./mark.ts";
import { planFilter } from "./plan-filter.ts";
import { explain } from "./refusals.ts";

/** Every IPv4 host must accept packets of this size (RFC 791): a smaller MTU is a mistake. */
const MTU_BYTES_MIN = 576;

export interface KernelOverlayOptions {
  /** "<cluster>/<node>": whose the device is. Printable, below 240 bytes. */
  readonly owner: string;
  /** Of inner packets; without it what the underlay's interface leaves, followed when that changes. */
  readonly mtuBytes?: number;
  /** The kernel has reported something about the device or about routes into the subnet: time to apply again. */
  readonly onReport?: () => void;
  /** Another process of this node has left the device of the same end: it stays as it is. */
  readonly isLeft?: boolean;
}

export class KernelOverlay {
  readonly #session: NetlinkSession;
  readonly #end: OverlayEnd;
  readonly #family: IpFamily;
  readonly #alias: string;
  readonly #keeper: DeviceKeeper;
  readonly #watch: DeviceWatch | null;
  /** null: what the underlay leaves. */
  #fixedMtuBytes: number | null;
  #mtuBytes: number;
  #isClosed = false;

  private constructor(session: NetlinkSession, end: OverlayEnd, options: KernelOverlayOptions) {
    const { owner, mtuBytes, onReport, isLeft } = options;
    this.#session = session;
    this.#end = end;
    this.#family = parseIp(end.underlayAddress)?.family ?? 4;
    this.#alias = aliasOf(owner);
    this.#fixedMtuBytes = mtuBytes ?? null;
    this.#mtuBytes = this.#currentMtu();
    const left = isLeft === true ? findOwnDevice(session, end, this.#alias) : null;
    const interfaceIndex = left ?? createDevice(session, end, this.#alias, this.#mtuBytes);
    this.#keeper = new DeviceKeeper(session, interfaceIndex, this.#mtuBytes);
    this.#watch = onReport === undefined ? null : new DeviceWatch(end, interfaceIndex, onReport);
  }

  /** The device is up with its address, without peers. Throws OverlayError; then nothing has changed. */
  static open(end: OverlayEnd, options: KernelOverlayOptions): KernelOverlay {
    const session = openSession(end);
    try {
      return new KernelOverlay(session, end, options);
    } catch (error) {
      const explained = explain(error, session, end);
      session.close();
      throw explained;
    }
  }

  /** Removes what a node that was killed left behind, for a start with another driver. Throws OverlayError. */
  static removeLeftover(end: OverlayEnd, { owner }: Pick<KernelOverlayOptions, "owner">): void {
    const session = openSession(end);
    try {
      removeDevice(session, end, aliasOf(owner));
    } catch (error) {
      throw explain(error, session, end);
    } finally {
      session.close();
    }
  }

  /** MTU of the device: of inner packets, at most. */
  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  /**
   * Makes the device's state equal to the list; nothing changes when it is. `innerMtuBytes` is by name; who is not
   * in it gets what the route to it leaves. Throws OverlayError when the device cannot be created again.
   */
  apply(
    peers: readonly OverlayPeer[],
    innerMtuBytes: ReadonlyMap<string, number> = new Map(),
    options: LookOptions = { mayRepair: true },
  ): Look {
    try {
      this.#mtuBytes = this.#currentMtu();
      const mtuOf = ({ name, underlayAddress }: OverlayPeer) =>
        Math.min(innerMtuBytes.get(name) ?? this.#routeMtu(underlayAddress), this.#mtuBytes);
      const planned = planEntries(this.#end, peers, mtuOf);
      const { plan, entries, refused } = planFilter(this.#end, planned.entries);
      const look = this.#keep(this.#wanted(entries, frameFilter(plan)), options);
      return { ...look, refused: [...planned.refused, ...refused, ...look.refused] };
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    }
  }

  /** Of the device, from now on; null: what the underlay leaves. Peers' routes follow with the next apply. */
  setMtu(mtuBytes: number | null): void {
    this.#fixedMtuBytes = mtuBytes;
    this.#mtuBytes = this.#currentMtu();
    try {
      setLink(this.#session, this.#keeper.interfaceIndex, { mtuBytes: this.#mtuBytes });
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    }
  }

  /** MTU of the underlay's current path to an address; null: no route. */
  underlayMtu(address: string): number | null {
    return underlayMtu(this.#session, address);
  }

  /** What the device has counted since it was made; null: it is not there now. */
  counters(): LinkCounters | null {
    return findLink(this.#session, this.#keeper.interfaceIndex)?.counters ?? null;
  }

  /** Frames that the device's filter has dropped. */
  get filteredTotal(): number {
    return countFiltered(this.#session, this.#keeper.interfaceIndex);
  }

  /** Ends, and leaves the device with all that is on it. */
  leave(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.close();
    this.#session.close();
  }

  /** The device and all that was on it are gone, whatever its name is by now; others of that name stay. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.close();
    try {
      deleteLink(this.#session, this.#keeper.interfaceIndex);
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    } finally {
      this.#session.close();
    }
  }

  /** The device is made again when it is gone. */
  #keep(wanted: WantedDevice, options: LookOptions): Look {
    const look = this.#keeper.look(wanted, options);
    if (look !== null) return look;
    if (!options.mayRepair) return { repaired: [], held: [REMOVED], failures: [], refused: [] };
    const interfaceIndex = createDevice(this.#session, this.#end, this.#alias, this.#mtuBytes);
    this.#keeper.remade(interfaceIndex, this.#mtuBytes);
    this.#watch?.follow(interfaceIndex);
    const again = this.#keeper.look(wanted, options);
    if (again === null)
      throw new OverlayError(
        "refused",
        `cannot keep ${this.#end.device}: another program removes it at once`,
      );
    return { ...again, repaired: [REMOVED, ...again.repaired] };
  }

  #wanted(peers: readonly PeerEntry[], filter: Uint8Array): WantedDevice {
    const { device, address, prefixLength, port } = this.#end;
    return {
      name: device,
      alias: this.#alias,
      mtuBytes: this.#mtuBytes,
      address,
      prefixLength,
      frames: { macAddress: macText(macOf(address)), port, filter },
      gsoMaxBytes: null,
      peers,
    };
  }

  #currentMtu(): number {
    if (this.#fixedMtuBytes !== null) return this.#fixedMtuBytes;
    const underlayBytes = localUnderlayMtu(this.#session, this.#end.underlayAddress);
    return this.#innerMtu(underlayBytes);
  }

  #innerMtu(underlayBytes: number): number {
    return Math.max(innerMtu(underlayBytes, vxlanOverheadBytes(this.#family)), MTU_BYTES_MIN);
  }

  #routeMtu(underlayAddress: string): number {
    const underlayBytes = this.underlayMtu(underlayAddress);
    if (underlayBytes === null) return this.#mtuBytes;
    return this.#innerMtu(underlayBytes);
  }
}
