/** Another node, as this worker reaches its relay. The same object as long as its name and address stay. */
import { SOCKADDR_MAX, writeSockaddr } from "../../sys/sockaddr.ts";
import { parseIp } from "../../wire/index.ts";
import type { Peer } from "../routing-table.ts";

export class RelayPeer {
  readonly name: string;
  readonly sockaddr = new Uint8Array(SOCKADDR_MAX);
  readonly sockaddrLength: number;
  /** AF_INET or AF_INET6 */
  readonly family: number;
  /** false: its tasks are passed over while there are others. */
  isReachable = true;

  constructor(readonly peer: Peer) {
    this.name = peer.name;
    this.sockaddrLength = writeSockaddr(this.sockaddr, 0, parseIp(peer.address)!.bytes, peer.port);
    this.family = this.sockaddr[0]!;
  }
}

export type RelayPeers = ReadonlyMap<string, RelayPeer>;

/** By name; those that have not changed are taken over. */
export function peersOf(peers: readonly Peer[], before: RelayPeers): RelayPeers {
  return new Map(
    peers.map((peer) => {
      const known = before.get(peer.name);
      const isSame = known?.peer.address === peer.address && known.peer.port === peer.port;
      return [peer.name, isSame ? known : new RelayPeer(peer)];
    }),
  );
}
