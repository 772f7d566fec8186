/**
 * RTM_NEWQDISC, RTM_NEWTFILTER and their kin: traffic control. Here only what filtering received packets takes: the
 * ingress queue of an interface and filters of classic BPF on it. Host order but for the protocol.
 * [linux/rtnetlink.h, linux/pkt_cls.h, linux/gen_stats.h]
 *
 *      0        1   4                 8        12       16                            20
 *     +--------+---+-----------------+--------+--------+-----------------------------+---------------
 *     | family | 0 | interface index | handle | parent | protocol u16, priority u16  | attributes …
 *     +--------+---+-----------------+--------+--------+-----------------------------+---------------
 */
import { AttributeWriter, splitMessage } from "./attributes.ts";

const HEAD_BYTES = 20;

/** Parent and handle of an ingress queue, parent of its filters. */
export const TC_H_INGRESS = 0xfffffff1;
export const TC_H_INGRESS_QUEUE = 0xffff0000;
export const TC_H_INGRESS_FILTERS = 0xfffffff2;
export const ETH_P_ALL = 3;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS2 = 7;
const TCA_STATS_QUEUE = 3;
/** struct gnet_stats_queue: length, backlog, drops, … */
const QUEUE_DROPS_AT = 8;
const QUEUE_BYTES_MIN = 12;
const TCA_BPF_OPS_LEN = 4;
const TCA_BPF_OPS = 5;
const TCA_BPF_FLAGS = 8;
/** What the program returns is the verdict. */
const TCA_BPF_FLAG_ACT_DIRECT = 1;
/** struct sock_filter */
const OPERATION_BYTES = 8;

export interface TrafficMessage {
  readonly interfaceIndex: number;
  readonly handle: number;
  readonly parent: number;
  /** Of filters: ethertype and order. */
  readonly protocol?: number | undefined;
  readonly priority?: number | undefined;
  /** "ingress", "bpf" */
  readonly kind?: string | undefined;
  /** Of kind "bpf": classic BPF, struct sock_filter one after the other. */
  readonly program?: Uint8Array | undefined;
  /** Packets that filters of a queue have dropped. Only in replies. */
  readonly drops?: number | undefined;
}

export function encodeTrafficMessage(message: TrafficMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setInt32(4, message.interfaceIndex, true);
  head.setUint32(8, message.handle, true);
  head.setUint32(12, message.parent, true);
  head.setUint16(16, message.protocol ?? 0);
  head.setUint16(18, message.priority ?? 0, true);
  const { program, drops } = message;
  return new AttributeWriter(new Uint8Array(head.buffer))
    .text(TCA_KIND, message.kind)
    .nested(TCA_OPTIONS, program === undefined ? undefined : (options) => writeProgram(program, options))
    .nested(TCA_STATS2, drops === undefined ? undefined : (stats) => writeDrops(drops, stats))
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeTrafficMessage(payload: Uint8Array): TrafficMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  const kind = attributes.text(TCA_KIND);
  return {
    interfaceIndex: head.getInt32(4, true),
    handle: head.getUint32(8, true),
    parent: head.getUint32(12, true),
    protocol: head.getUint16(16),
    priority: head.getUint16(18, true),
    kind,
    program: kind === "bpf" ? attributes.nested(TCA_OPTIONS)?.bytes(TCA_BPF_OPS) : undefined,
    drops: readDrops(attributes.nested(TCA_STATS2)?.bytes(TCA_STATS_QUEUE)),
  };
}

function writeProgram(program: Uint8Array, options: AttributeWriter): void {
  options
    .uint16(TCA_BPF_OPS_LEN, program.length / OPERATION_BYTES)
    .bytes(TCA_BPF_OPS, program)
    .uint32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
}

function writeDrops(drops: number, stats: AttributeWriter): void {
  const queue = new Uint8Array(20);
  new DataView(queue.buffer).setUint32(QUEUE_DROPS_AT, drops, true);
  stats.bytes(TCA_STATS_QUEUE, queue);
}

function readDrops(queue: Uint8Array | undefined): number | undefined {
  if (queue === undefined || queue.length < QUEUE_BYTES_MIN) return undefined;
  return new DataView(queue.buffer, queue.byteOffset, queue.length).getUint32(QUEUE_DROPS_AT, true);
}
