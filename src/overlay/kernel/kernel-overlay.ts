/**
 * The `kernel` driver: a VXLAN device of the kernel, kept in step with the members of the cluster. No packet passes
 * through this process.
 *
 * The device is this node's alone: its entries, its address, its state are made what they have to be on every apply,
 * and it is made again when somebody removed it. Nothing else on the machine is changed.
 */
import { type IpFamily, parseIp } from "../../wire/index.ts";
import type { LinkCounters } from "../../wire/netlink/index.ts";
import { macOf } from "../address-plan.ts";
import { CLOSED_TO_OTHERS, isClosedToOthers } from "../closed-device.ts";
import type { OverlayEnd, OverlayPeer } from "../overlay.ts";
import { OverlayError } from "../overlay-error.ts";
import { innerMtu, vxlanOverheadBytes } from "../path/overhead.ts";
import { macText } from "../route/address-text.ts";
import {
  addAddress,
  countFiltered,
  deleteLink,
  findLink,
  type Link,
  type LinkChange,
  listAddresses,
  NetlinkError,
  NetlinkSession,
  setLink,
} from "../route/index.ts";
import { localUnderlayMtu, underlayMtu } from "../underlay-mtu.ts";
import { createDevice, findOwnDevice, removeDevice } from "./device.ts";
import { restoreFilter } from "./device-filter.ts";
import { frameFilter } from "./frame-filter.ts";
import { aliasOf, isOwnDevice } from "./mark.ts";
import { applyEntries } from "./peer-entries.ts";
import { planEntries, type RefusedPeer } from "./plan-entries.ts";
import { planFilter } from "./plan-filter.ts";
import { explain } from "./refusals.ts";

/** What every IPv4 host must take (RFC 791): less than that is no MTU but a mistake. */
const MTU_BYTES_MIN = 576;

export interface KernelOverlayOptions {
  /** "<cluster>/<node>": whose the device is. Printable, below 240 bytes. */
  readonly owner: string;
  /** Of inner packets; without it what the underlay's interface leaves, followed when that changes. */
  readonly mtuBytes?: number;
}

export class KernelOverlay {
  readonly #session: NetlinkSession;
  readonly #end: OverlayEnd;
  readonly #family: IpFamily;
  readonly #alias: string;
  /** null: what the underlay leaves. */
  #fixedMtuBytes: number | null;
  #mtuBytes: number;
  #isClosed = false;

  private constructor(session: NetlinkSession, end: OverlayEnd, options: KernelOverlayOptions) {
    this.#session = session;
    this.#end = end;
    this.#family = parseIp(end.underlayAddress)?.family ?? 4;
    this.#alias = aliasOf(options.owner);
    this.#fixedMtuBytes = options.mtuBytes ?? null;
    this.#mtuBytes = this.#currentMtu();
  }

  /** The device is up with its address, without peers. Throws OverlayError; then nothing has changed. */
  static open(end: OverlayEnd, options: KernelOverlayOptions): KernelOverlay {
    const session = openSession(end);
    try {
      const overlay = new KernelOverlay(session, end, options);
      createDevice(session, end, overlay.#alias, overlay.#mtuBytes);
      return overlay;
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
   * in it gets what the route to it leaves. Throws OverlayError when the device cannot be had any more.
   */
  apply(
    peers: readonly OverlayPeer[],
    innerMtuBytes: ReadonlyMap<string, number> = new Map(),
  ): readonly RefusedPeer[] {
    try {
      const interfaceIndex = this.#restoreDevice();
      const mtuOf = ({ name, underlayAddress }: OverlayPeer) =>
        Math.min(innerMtuBytes.get(name) ?? this.#routeMtu(underlayAddress), this.#mtuBytes);
      const planned = planEntries(this.#end, peers, mtuOf);
      const { plan, entries, refused } = planFilter(this.#end, planned.entries);
      restoreFilter(this.#session, this.#end, interfaceIndex, frameFilter(plan));
      const device = { interfaceIndex, address: this.#end.address, port: this.#end.port };
      return [...planned.refused, ...refused, ...applyEntries(this.#session, device, entries)];
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    }
  }

  /** Of the device, from now on; null: what the underlay leaves. Peers' routes follow with the next apply. */
  setMtu(mtuBytes: number | null): void {
    this.#fixedMtuBytes = mtuBytes;
    try {
      this.#restoreDevice();
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    }
  }

  /** MTU of the underlay's way to an address as it is now; null: there is no route. */
  underlayMtu(address: string): number | null {
    return underlayMtu(this.#session, address);
  }

  /** What the device has counted since it was made; null: it is not there now. */
  counters(): LinkCounters | null {
    return this.#findDevice()?.counters ?? null;
  }

  /** Frames that the device's filter has dropped. */
  get filteredTotal(): number {
    const link = this.#findDevice();
    return link === null ? 0 : countFiltered(this.#session, link.index);
  }

  /** The device and all that was on it are gone; one of its name that is somebody else's by now stays. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      const link = this.#findDevice();
      if (link !== null) deleteLink(this.#session, link.index);
    } catch (error) {
      throw explain(error, this.#session, this.#end);
    } finally {
      this.#session.close();
    }
  }

  /** null: there is none of that name, or it is somebody else's. */
  #findDevice(): Link | null {
    const link = findLink(this.#session, this.#end.device);
    return link !== null && isOwnDevice(link, this.#alias) ? link : null;
  }

  /** Index of the device: as it has to be, made again when it is gone. */
  #restoreDevice(): number {
    this.#mtuBytes = this.#currentMtu();
    const link = findOwnDevice(this.#session, this.#end, this.#alias);
    if (link === null) return createDevice(this.#session, this.#end, this.#alias, this.#mtuBytes);
    this.#restoreAddress(link.index);
    const change = this.#differences(link);
    if (Object.keys(change).length > 0) setLink(this.#session, link.index, change);
    return link.index;
  }

  #restoreAddress(interfaceIndex: number): void {
    const { address, prefixLength } = this.#end;
    const present = listAddresses(this.#session, interfaceIndex);
    const isThere = present.some((entry) => entry.address === address && entry.prefixLength === prefixLength);
    if (!isThere) addAddress(this.#session, { interfaceIndex, address, prefixLength });
  }

  #differences(link: Link): LinkChange {
    const macAddress = macText(macOf(this.#end.address));
    return {
      ...(link.mtuBytes !== this.#mtuBytes && { mtuBytes: this.#mtuBytes }),
      ...(link.macAddress !== macAddress && { macAddress }),
      ...(!link.isUp && { isUp: true }),
      ...(!isClosedToOthers(link.ipv4Settings) && { ipv4Settings: CLOSED_TO_OTHERS }),
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

function openSession({ device }: OverlayEnd): NetlinkSession {
  try {
    return NetlinkSession.open();
  } catch (cause) {
    if (!(cause instanceof NetlinkError)) throw cause;
    throw new OverlayError("unsupported", `cannot create ${device}: ${cause.message}`, { cause });
  }
}
