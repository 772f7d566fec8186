/** The peers, by overlay address and by underlay address. Bounded by MAX_PEERS. */
import type { Arena } from "../../../sys/arena.ts";
import { hashAddress, type RemotePeer } from "./remote-peer.ts";

export class PeerTable {
  /** by overlay address, int32 */
  readonly #byAddress = new Map<number, RemotePeer>();
  /** by hash of the underlay address; several nodes may share one */
  readonly #byUnderlay = new Map<number, RemotePeer[]>();
  readonly all: readonly RemotePeer[];

  constructor(peers: readonly RemotePeer[]) {
    this.all = peers;
    for (const peer of peers) {
      this.#byAddress.set(peer.address, peer);
      const sharing = this.#byUnderlay.get(peer.underlayHash);
      if (sharing === undefined) this.#byUnderlay.set(peer.underlayHash, [peer]);
      else sharing.push(peer);
    }
  }

  find(address: number): RemotePeer | undefined {
    return this.#byAddress.get(address);
  }

  /** The first peer at the address in a struct sockaddr. */
  findSender(arena: Arena, sockaddrAt: number): RemotePeer | undefined {
    const family = arena.int32[sockaddrAt / 4]! & 0xffff;
    const sharing = this.#byUnderlay.get(hashAddress(arena.int32, sockaddrAt / 4, family));
    if (sharing === undefined) return undefined;
    for (const peer of sharing) if (peer.isAt(arena, sockaddrAt)) return peer;
    return undefined;
  }
}
