/**
 * What an interface has counted: the start of struct rtnl_link_stats64, eight of its 64-bit numbers in host order.
 * Kernels append to it. [linux/if_link.h]
 *
 *      0          8          16         24         32        40        48           56             64
 *     +----------+----------+----------+----------+---------+---------+------------+--------------+----
 *     | packets  | packets  | bytes    | bytes    | errors  | errors  | dropped    | dropped      | …
 *     | received | sent     | received | sent     | receive | send    | receiving  | sending      |
 *     +----------+----------+----------+----------+---------+---------+------------+--------------+----
 */

const BYTES = 64;

export interface LinkCounters {
  readonly receivedPackets: number;
  readonly sentPackets: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly receiveErrors: number;
  readonly sendErrors: number;
  readonly receiveDropped: number;
  readonly sendDropped: number;
}

/** In the order of the struct. */
const FIELDS = [
  "receivedPackets",
  "sentPackets",
  "receivedBytes",
  "sentBytes",
  "receiveErrors",
  "sendErrors",
  "receiveDropped",
  "sendDropped",
] as const satisfies readonly (keyof LinkCounters)[];

/** undefined: too short. What a number cannot hold is the largest it can. */
export function decodeLinkCounters(bytes: Uint8Array): LinkCounters | undefined {
  if (bytes.length < BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BYTES);
  const values = FIELDS.map((name, index) => {
    const value = Number(view.getBigUint64(8 * index, true));
    return [name, Math.min(value, Number.MAX_SAFE_INTEGER)];
  });
  return Object.fromEntries(values);
}

export function encodeLinkCounters(counters: LinkCounters): Uint8Array {
  const view = new DataView(new ArrayBuffer(BYTES));
  FIELDS.forEach((name, index) => {
    view.setBigUint64(8 * index, BigInt(counters[name]), true);
  });
  return new Uint8Array(view.buffer);
}
