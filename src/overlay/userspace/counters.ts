/**
 * What the userspace driver counts, in shared memory: the worker writes, the main thread reads. Values are float64
 * (exact up to 2^53).
 *
 * Every peer has a row of ROW_FIELDS numbers; row 0 is for what no peer can be blamed for. Rows are handed out by the
 * main thread.
 */
export const MAX_PEERS = 4096;

/** Why a frame from the underlay was thrown away. The order is the order in memory. */
const FRAME_DROPS = [
  "truncated", // longer than a datagram may be
  "unknown-sender", // no peer is at that underlay address
  "short",
  "no-vni-flag",
  "wrong-vni",
  "clear-frame", // plain, where this node encrypts
  "not-ipv4",
  "malformed",
  "not-for-us", // another inner destination
  "spoofed-inner-source", // not the address of the peer that it came from
  "device-refused",
  "unknown-key", // sealed under a key that no peer has
  "wrong-source", // part of a peer's seal, from another address than the peer's
  "replay",
  "bad-tag", // not what the peer has sealed
] as const;
export type FrameDrop = (typeof FRAME_DROPS)[number];

/** Why a packet of this machine was not sent. The order is the order in memory. */
const PACKET_DROPS = [
  "not-ipv4",
  "malformed",
  "no-peer", // no peer has that overlay address
  "unreachable", // no route, or a firewall of this machine
  "too-long", // for the path, as far as this machine knows (EMSGSIZE)
  "send-failed",
  "no-seal", // is to be sealed, and cannot be now
] as const;
export type PacketDrop = (typeof PACKET_DROPS)[number];

/** Fields of a row. */
export const F_PACKETS_OUT = 0;
export const F_DATAGRAMS_OUT = 1;
export const F_BYTES_OUT = 2;
export const F_PACKETS_IN = 3;
export const F_DATAGRAMS_IN = 4;
export const F_BYTES_IN = 5;
/** 1 once segmentation by the kernel was refused on the way to the peer; row 0: once the device refused super-packets. */
const F_IS_CUT_HERE = 6;
const F_FRAME_DROPS = 8;
const F_PACKET_DROPS = 24;
/** What is known of the sealed path to a peer: the longest underlay packet, 0: not known; -1: no figure. */
export const F_MTU_BYTES = 32;
export const F_RTT_MS = 33;
export const F_LOSS = 34;
/** ms since 1970; 0: frames to it are not sealed. */
export const F_KEY_SINCE_MS = 35;
const ROW_FIELDS = 40;

/** The row for drops that belong to no peer. */
export const UNKNOWN_PEER = 0;

const FRAME_DROP_INDEX = indexOf(FRAME_DROPS);
const PACKET_DROP_INDEX = indexOf(PACKET_DROPS);

export function createCounters(): Float64Array {
  return new Float64Array(new SharedArrayBuffer((1 + MAX_PEERS) * ROW_FIELDS * 8));
}

export interface SealedFigures {
  /** Of the key in use. */
  readonly keySinceMs: number;
  /** Longest underlay packet that gets there; null: not known. */
  readonly mtuBytes: number | null;
  readonly rttMs: number | null;
  /** 0…1 */
  readonly loss: number | null;
}

export interface PeerCounts {
  /** Packets as the device handed them over: a super-packet is one. */
  readonly packetsOut: number;
  readonly datagramsOut: number;
  /** Of datagrams, without their headers. */
  readonly bytesOut: number;
  /** Packets handed to the device. */
  readonly packetsIn: number;
  readonly datagramsIn: number;
  readonly bytesIn: number;
  /** The kernel or the card refused to segment on the way there: every datagram is sent by itself. */
  readonly isSegmentationRefused: boolean;
  /** Of the sealed path; null: frames to it are plain. */
  readonly sealed: SealedFigures | null;
  /** by reason, without zeros */
  readonly framesDropped: Readonly<Partial<Record<FrameDrop, number>>>;
  readonly packetsDropped: Readonly<Partial<Record<PacketDrop, number>>>;
}

export function readCounts(counters: Float64Array, row: number): PeerCounts {
  const field = (index: number) => counters[row * ROW_FIELDS + index]!;
  return {
    packetsOut: field(F_PACKETS_OUT),
    datagramsOut: field(F_DATAGRAMS_OUT),
    bytesOut: field(F_BYTES_OUT),
    packetsIn: field(F_PACKETS_IN),
    datagramsIn: field(F_DATAGRAMS_IN),
    bytesIn: field(F_BYTES_IN),
    isSegmentationRefused: field(F_IS_CUT_HERE) === 1,
    sealed: field(F_KEY_SINCE_MS) === 0 ? null : sealedFigures(field),
    framesDropped: nonZero(FRAME_DROPS, (index) => field(F_FRAME_DROPS + index)),
    packetsDropped: nonZero(PACKET_DROPS, (index) => field(F_PACKET_DROPS + index)),
  };
}

function sealedFigures(field: (index: number) => number): SealedFigures {
  const orNull = (value: number) => (value < 0 ? null : value);
  return {
    keySinceMs: field(F_KEY_SINCE_MS),
    mtuBytes: field(F_MTU_BYTES) || null,
    rttMs: orNull(field(F_RTT_MS)),
    loss: orNull(field(F_LOSS)),
  };
}

export function clearRow(counters: Float64Array, row: number): void {
  counters.fill(0, row * ROW_FIELDS, (row + 1) * ROW_FIELDS);
}

/** The worker's side. */
export class Counters {
  constructor(readonly values: Float64Array) {}

  add(row: number, field: number, count: number): void {
    this.values[row * ROW_FIELDS + field]! += count;
  }

  dropFrame(row: number, reason: FrameDrop): void {
    this.dropFrames(row, reason, 1);
  }

  dropFrames(row: number, reason: FrameDrop, count: number): void {
    this.add(row, F_FRAME_DROPS + FRAME_DROP_INDEX[reason], count);
  }

  dropPackets(row: number, reason: PacketDrop, count: number): void {
    this.add(row, F_PACKET_DROPS + PACKET_DROP_INDEX[reason], count);
  }

  set(row: number, field: number, value: number): void {
    this.values[row * ROW_FIELDS + field] = value;
  }

  setCutHere(row: number): void {
    this.values[row * ROW_FIELDS + F_IS_CUT_HERE] = 1;
  }
}

function indexOf<T extends string>(names: readonly T[]): Readonly<Record<T, number>> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<T, number>;
}

function nonZero<T extends string>(
  names: readonly T[],
  countOf: (index: number) => number,
): Partial<Record<T, number>> {
  const entries = names.map((name, index) => [name, countOf(index)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value > 0)) as Partial<Record<T, number>>;
}
