/**
 * RTM_NEWROUTE and its kin: routes, and the answer which one an address would take. Host order. [rtnetlink(7), ip-route(8)]
 *
 *      0        1                    2               3     4       5          6       7      8       12
 *     +--------+--------------------+---------------+-----+-------+----------+-------+------+-------+---------------
 *     | family | destination length | source length | tos | table | protocol | scope | type | flags | attributes …
 *     +--------+--------------------+---------------+-----+-------+----------+-------+------+-------+---------------
 */
import { AttributeWriter, splitMessage } from "./attributes.ts";

const HEAD_BYTES = 12;

const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTAX_LOCK = 1;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RTN_UNICAST = 1;
/** A copy that was made for one destination, not a route of the table. */
export const RTM_F_CLONED = 0x200;
/** In a question: the answer names the table that the route is of. */
export const RTM_F_LOOKUP_TABLE = 0x1000;

export interface RouteMessage {
  /** AF_INET, AF_INET6. */
  readonly family: number;
  readonly destinationLength: number;
  readonly table: number;
  /** Who made it, RTPROT_…. */
  readonly protocol: number;
  readonly scope: number;
  /** RTN_…. */
  readonly type: number;
  readonly flags: number;
  /** Absent: the default route. */
  readonly destination?: Uint8Array | undefined;
  /** In a question: what the packet comes from. */
  readonly source?: Uint8Array | undefined;
  readonly outputInterface?: number | undefined;
  readonly gateway?: Uint8Array | undefined;
  readonly priority?: number | undefined;
  readonly preferredSource?: Uint8Array | undefined;
  readonly mtuBytes?: number | undefined;
  /** Path MTU discovery may not change it. */
  readonly isMtuLocked?: boolean | undefined;
  readonly advertisedMssBytes?: number | undefined;
}

export function encodeRouteMessage(route: RouteMessage): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setUint8(0, route.family);
  head.setUint8(1, route.destinationLength);
  head.setUint8(2, (route.source?.length ?? 0) * 8);
  head.setUint8(4, route.table > 255 ? 0 : route.table);
  head.setUint8(5, route.protocol);
  head.setUint8(6, route.scope);
  head.setUint8(7, route.type);
  head.setUint32(8, route.flags, true);
  const hasMetrics = route.mtuBytes !== undefined || route.advertisedMssBytes !== undefined;
  return new AttributeWriter(new Uint8Array(head.buffer))
    .bytes(RTA_DST, route.destination)
    .bytes(RTA_SRC, route.source)
    .uint32(RTA_OIF, route.outputInterface)
    .bytes(RTA_GATEWAY, route.gateway)
    .uint32(RTA_PRIORITY, route.priority)
    .bytes(RTA_PREFSRC, route.preferredSource)
    .nested(RTA_METRICS, hasMetrics ? (metrics) => writeMetrics(route, metrics) : undefined)
    .uint32(RTA_TABLE, route.table > 255 ? route.table : undefined)
    .finish();
}

/** null: too short, or an attribute leaves the message. */
export function decodeRouteMessage(payload: Uint8Array): RouteMessage | null {
  const parts = splitMessage(payload, HEAD_BYTES);
  if (parts === null) return null;
  const { head, attributes } = parts;
  const metrics = attributes.nested(RTA_METRICS);
  const mtuBytes = metrics?.uint32(RTAX_MTU);
  const locks = metrics?.uint32(RTAX_LOCK) ?? 0;
  return {
    family: head.getUint8(0),
    destinationLength: head.getUint8(1),
    table: attributes.uint32(RTA_TABLE) ?? head.getUint8(4),
    protocol: head.getUint8(5),
    scope: head.getUint8(6),
    type: head.getUint8(7),
    flags: head.getUint32(8, true),
    destination: attributes.bytes(RTA_DST),
    outputInterface: attributes.uint32(RTA_OIF),
    gateway: attributes.bytes(RTA_GATEWAY),
    priority: attributes.uint32(RTA_PRIORITY),
    preferredSource: attributes.bytes(RTA_PREFSRC),
    mtuBytes,
    isMtuLocked: mtuBytes === undefined ? undefined : (locks & (1 << RTAX_MTU)) !== 0,
    advertisedMssBytes: metrics?.uint32(RTAX_ADVMSS),
  };
}

function writeMetrics(route: RouteMessage, metrics: AttributeWriter): void {
  metrics
    .uint32(RTAX_MTU, route.mtuBytes)
    .uint32(RTAX_ADVMSS, route.advertisedMssBytes)
    .uint32(RTAX_LOCK, route.isMtuLocked ? 1 << RTAX_MTU : undefined);
}
