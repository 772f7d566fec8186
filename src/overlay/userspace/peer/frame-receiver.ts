/** Receives the datagrams of the underlay socket: plain frames or sealed ones, by their first byte. */
import type { RemotePeer } from "./remote-peer.ts";

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
