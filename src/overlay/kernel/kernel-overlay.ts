/**
 * The `kernel` driver: a VXLAN device of the kernel, kept in step with the members of the cluster. No packet passes
 * through this process.
 *
 * The device is this node's alone: its entries, its address, its state are made what they have to be on every apply,
 * and it is made again when somebody removed it. Nothing else on the machine is changed.
 */
import { formatIp, type IpFamily, parseIp, parsePrefix } from "../../wire/index.ts";
import { isInSubnet, macOf } from "../address-plan.ts";
import type { OverlayEnd, OverlayPeer } from "../overlay.ts";
import { OverlayError } from "../overlay-error.ts";
import {
  addAddress,
  type Link,
  type LinkChange,
  listAddresses,
  NetlinkError,
  NetlinkSession,
  setLink,
} from "../route/index.ts";
import { macText } from "../route/text.ts";
import { localUnderlayMtu, underlayMtu } from "../underlay-mtu.ts";
import { createDevice, findOwnDevice, removeDevice } from "./device.ts";
import { aliasOf } from "./mark.ts";
import { applyEntries, type PeerEntry } from "./peer-entries.ts";
import { explain } from "./refusals.ts";

/** Outer IP header, UDP, VXLAN, inner Ethernet header. [RFC 7348 §5] */
const OVERHEAD_BYTES: Readonly<Record<IpFamily, number>> = { 4: 50, 6: 70 };
/** What every IPv4 host must take (RFC 791): less than that is no MTU but a mistake. */
const MTU_BYTES_MIN = 576;

export interface KernelOverlayOptions {
  /** "<cluster>/<node>": whose the device is. Printable, below 240 bytes. */
  readonly owner: string;
  /** Of inner packets; without it what the underlay's interface leaves, followed when that changes. */
  readonly mtuBytes?: number;
}

/** A peer that has no entries, and why: "cannot …". */
export interface RefusedPeer {
  readonly name: string;
  readonly reason: string;
}

export class KernelOverlay {
  readonly #session: NetlinkSession;
  readonly #end: OverlayEnd;
  readonly #family: IpFamily;
  /** Canonical prefix. */
  readonly #subnet: string;
  readonly #alias: string;
  /** null: what the underlay leaves. */
  #fixedMtuBytes: number | null;
  #mtuBytes: number;
  #isClosed = false;

  private constructor(session: NetlinkSession, end: OverlayEnd, options: KernelOverlayOptions) {
    this.#session = session;
    this.#end = end;
    this.#family = parseIp(end.underlayAddress)?.family ?? 4;
    this.#subnet = subnetOf(end);
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
      session.close();
      throw error;
    }
  }

  /** Removes what a node that was killed left behind, for a start with another driver. Throws OverlayError. */
  static removeLeftover(end: OverlayEnd, { owner }: Pick<KernelOverlayOptions, "owner">): void {
    const session = openSession(end);
    try {
      removeDevice(session, end, aliasOf(owner));
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
      const refused: RefusedPeer[] = [];
      const entries = new Map<string, PeerEntry>();
      const names = new Map(peers.map((peer) => [peer.overlayAddress, peer.name]));
      for (const peer of peers) {
        const reason = this.#problemOf(peer);
        if (reason === null)
          entries.set(peer.overlayAddress, this.#entryOf(peer, innerMtuBytes.get(peer.name)));
        else refused.push({ name: peer.name, reason });
      }
      const device = { interfaceIndex, address: this.#end.address, port: this.#end.port };
      for (const address of applyEntries(this.#session, device, [...entries.values()])) {
        const reason = `cannot add a route to ${address}: somebody else has one`;
        refused.push({ name: names.get(address)!, reason });
      }
      return refused;
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

  /** The device and all that was on it are gone, unless somebody else's has its name meanwhile. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      removeDevice(this.#session, this.#end, this.#alias);
    } finally {
      this.#session.close();
    }
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
    };
  }

  #currentMtu(): number {
    if (this.#fixedMtuBytes !== null) return this.#fixedMtuBytes;
    const underlayBytes = localUnderlayMtu(this.#session, this.#end.underlayAddress);
    return Math.max(underlayBytes - OVERHEAD_BYTES[this.#family], MTU_BYTES_MIN);
  }

  #entryOf(peer: OverlayPeer, innerMtuBytes: number | undefined): PeerEntry {
    const { overlayAddress, underlayAddress, port } = peer;
    const mtuBytes = Math.min(innerMtuBytes ?? this.#routeMtu(underlayAddress), this.#mtuBytes);
    return { overlayAddress, macAddress: macText(macOf(overlayAddress)), underlayAddress, port, mtuBytes };
  }

  #routeMtu(underlayAddress: string): number {
    const underlayBytes = this.underlayMtu(underlayAddress);
    if (underlayBytes === null) return this.#mtuBytes;
    return Math.max(underlayBytes - OVERHEAD_BYTES[this.#family], MTU_BYTES_MIN);
  }

  #problemOf({ overlayAddress, underlayAddress }: OverlayPeer): string | null {
    const subnet = this.#subnet;
    const family = parseIp(underlayAddress)?.family;
    if (family !== this.#family)
      return `cannot reach ${underlayAddress}: this node's end is IPv${this.#family} (${this.#end.underlayAddress})`;
    if (overlayAddress === this.#end.address) return `cannot add ${overlayAddress}: it is this node's own`;
    if (!isInSubnet(overlayAddress, subnet)) return `cannot add ${overlayAddress}: it is outside ${subnet}`;
    if (family === 4 && isInSubnet(underlayAddress, subnet))
      return `cannot reach ${underlayAddress}: it is an address of the overlay itself`;
    return null;
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

function subnetOf({ address, prefixLength }: OverlayEnd): string {
  const { family, network } = parsePrefix(`${address}/${prefixLength}`)!;
  return `${formatIp(family, network)}/${prefixLength}`;
}
