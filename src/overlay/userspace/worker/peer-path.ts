/**
 * How packets to one peer travel: as plain VXLAN frames, or sealed. What arrives is told apart by its first byte, and
 * goes to the path that it is of.
 */
import type { Ipv4Packet } from "../../../wire/ip/ipv4-packet.ts";
import type { VirtioHeader } from "../../../wire/virtio-header.ts";
import type { RemotePeer } from "./remote-peer.ts";

/** A packet of the device. Its bytes are the path's until the next one of its slot is read: change them at will. */
export interface TunPacket {
  /** Offset in the arena of the IP header, a multiple of 4; the virtio header is in the VIRTIO_BYTES before it. */
  at: number;
  /** Bytes with the IP header. */
  length: number;
  readonly virtio: VirtioHeader;
  readonly ip: Ipv4Packet;
}

export interface PeerPath {
  /** Puts the datagrams of a packet into the sender, or counts why not. Their bytes stay where they are until it is flushed. */
  send(peer: RemotePeer, packet: TunPacket): void;
}

export interface FrameReceiver {
  /**
   * Takes one datagram: `length` bytes of the arena, which are its own until `onBatchEnd` returns.
   *
   * @param sender the first peer at its underlay address
   * @param sockaddrAt of its struct sockaddr, for when several share the address
   */
  onDatagram(at: number, length: number, sender: RemotePeer, sockaddrAt: number): void;
  /** Everything that was received at once has been handed over. */
  onBatchEnd(): void;
}
