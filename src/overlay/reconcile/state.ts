/** What a driver's device has to be, and what the kernel says it is. Plain values. */
import type { PeerEntry } from "../plan-entries.ts";
import type { ForwardingEntry, InterfaceAddress, Link, ListedRoute, Neighbour } from "../rtnetlink/index.ts";

export interface WantedDevice {
  readonly name: string;
  readonly alias: string;
  readonly mtuBytes: number;
  readonly address: string;
  readonly prefixLength: number;
  /** null: the driver carries packets, not frames: no MAC address, no neighbours, no forwarding entries, no filter. */
  readonly frames: WantedFrames | null;
  /** null: as the kernel made it. */
  readonly gsoMaxBytes: number | null;
  readonly peers: readonly PeerEntry[];
}

export interface WantedFrames {
  readonly macAddress: string;
  readonly port: number;
  /** Program for what the device receives. */
  readonly filter: Uint8Array;
}

/** Of one device. */
export interface ReportedDevice {
  readonly link: Link;
  readonly addresses: readonly InterfaceAddress[];
  /** Over the device, in all tables. */
  readonly routes: readonly ListedRoute[];
  readonly neighbours: readonly Neighbour[];
  readonly forwarding: readonly ForwardingEntry[];
  /** null: there is none. */
  readonly filter: Uint8Array | null;
}

/** What was made so when the device was last looked at. */
export interface MadeDevice {
  readonly mtuBytes: number;
  /** null: the one of a new device, or none. */
  readonly filter: Uint8Array | null;
  /** By overlay address, without those that could not be had. */
  readonly peers: ReadonlyMap<string, PeerEntry>;
}

export const NOTHING_MADE: MadeDevice = { mtuBytes: 0, filter: null, peers: new Map() };
