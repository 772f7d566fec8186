/**
 * What an overlay adds to a packet, so what is left of the underlay's MTU for it. All sizes are bytes of IP packets
 * with their headers.
 *
 *     plain VXLAN   │ IPv4 20 or IPv6 40 │ UDP 8 │ VXLAN 8 │ Ethernet 14 │ inner IP packet …     RFC 7348 §5: 50 or 70
 *     sealed        │ IPv4 20 or IPv6 40 │ UDP 8 │ seal 20 │ virtio 10 │ inner IP packet … │ tag 16     wire/seal-datagram.ts
 *     no overlay    │ inner IP packet: it is the underlay's
 */
import { type IpFamily, SEAL_HEADER_BYTES, SEAL_TAG_BYTES } from "../../wire/index.ts";
import { VIRTIO_BYTES } from "../../wire/virtio-header.ts";

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const UDP_BYTES = 8;
const VXLAN_BYTES = 8;
const ETHERNET_BYTES = 14;

/** IP and UDP headers: what a datagram's payload lacks to the size of its packet. */
export function udpOverheadBytes(family: IpFamily): number {
  return (family === 4 ? IPV4_BYTES : IPV6_BYTES) + UDP_BYTES;
}

/** @param family of the underlay address of the other node */
export function vxlanOverheadBytes(family: IpFamily): number {
  return udpOverheadBytes(family) + VXLAN_BYTES + ETHERNET_BYTES;
}

/** For a packet that is sealed alone and goes as one datagram. */
export function sealedOverheadBytes(family: IpFamily): number {
  return udpOverheadBytes(family) + SEAL_HEADER_BYTES + VIRTIO_BYTES + SEAL_TAG_BYTES;
}

/** The largest inner packet that fits an underlay packet of `outerBytes`. */
export function innerMtu(outerBytes: number, overheadBytes: number): number {
  return outerBytes - overheadBytes;
}
