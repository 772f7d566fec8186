/**
 * The VXLAN header [RFC 7348 §5].
 *
 *      0         1             4         7
 *     +---------+-------------+---------+----------+
 *     | R R R R I R R R | 0 0 0 |   VNI   | reserved |      I: the VNI is valid
 *     +---------+-------------+---------+----------+
 *
 * Reserved bits are written as zeros and ignored on receipt.
 */
export const VXLAN_BYTES = 8;

const FLAG_I = 0x08;

export function writeVxlan(vni: number, out: Uint8Array, at: number): void {
  out.fill(0, at, at + VXLAN_BYTES);
  out[at] = FLAG_I;
  out[at + 4] = vni >>> 16;
  out[at + 5] = vni >>> 8;
  out[at + 6] = vni;
}

/** The VNI, or -1 where the header says that it is not valid. The caller has seen to it that VXLAN_BYTES are there. */
export function readVni(bytes: Uint8Array, at: number): number {
  if ((bytes[at]! & FLAG_I) === 0) return -1;
  return (bytes[at + 4]! << 16) | (bytes[at + 5]! << 8) | bytes[at + 6]!;
}
