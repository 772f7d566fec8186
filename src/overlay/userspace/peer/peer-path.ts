/** How packets to one peer travel: as plain VXLAN frames, or sealed. */
import type { Ipv4Packet } from "../../../wire/ip/ipv4-packet.ts";
import type { VirtioHeader } from "../../../wire/virtio-header.ts";

/** A packet of the device. Its bytes are the path's until the next one of its slot is read: change them at will. */
export interface TunPacket {
  /** Offset in the arena of the IP header, a multiple of 4; the virtio header is in the VIRTIO_BYTES before it. */
  at: number;
  /** Bytes with the IP header. */
  length: number;
  readonly virtio: VirtioHeader;
  readonly ip: Ipv4Packet;
}

/** `P` is the peer. */
export interface PeerPath<P> {
  /** Puts the datagrams of a packet into the sender, or counts why not. Their bytes stay where they are until it is flushed. */
  send(peer: P, packet: TunPacket): void;
}
