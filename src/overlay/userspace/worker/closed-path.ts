/** The way to a peer whose packets have to be sealed and cannot be: nothing ever leaves in clear instead. */
import type { Counters } from "../counters.ts";
import type { PeerPath } from "../peer/peer-path.ts";
import type { RemotePeer } from "../peer/remote-peer.ts";

export class ClosedPath implements PeerPath<RemotePeer> {
  constructor(readonly counters: Counters) {}

  send(peer: RemotePeer): void {
    this.counters.dropPackets(peer.row, "no-seal", 1);
  }
}
