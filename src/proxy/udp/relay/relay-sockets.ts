/** The relays of a worker to other nodes: one for each that has been needed, as long as that node is a peer. */
import type { RelayPeer } from "../../table/peer.ts";
import type { TaskRelay, UdpSession } from "../session.ts";
import type { TaskRelays } from "../session-set.ts";
import type { RelayContext } from "./relay-context.ts";
import { RelaySocket } from "./relay-socket.ts";

export class RelaySockets implements TaskRelays {
  /** bounded by the number of peers */
  readonly #sockets = new Map<RelayPeer, RelaySocket>();

  constructor(readonly relays: RelayContext) {}

  add(peer: RelayPeer, session: UdpSession, header: Uint8Array): TaskRelay {
    return this.#socketTo(peer).add(session, header);
  }

  flush(): void {
    this.relays.toExits.flush();
  }

  /** Ends the relays to nodes that are no longer peers, or are reached at another address. */
  keepOnly(peers: ReadonlySet<RelayPeer>): void {
    for (const [peer, socket] of this.#sockets) {
      if (peers.has(peer)) continue;
      this.#sockets.delete(peer);
      socket.end();
    }
  }

  /** Nothing is received or sent until `resume`. */
  pause(): void {
    this.flush();
    for (const socket of this.#sockets.values()) socket.pause();
  }

  resume(): void {
    for (const socket of this.#sockets.values()) socket.resume();
  }

  /** Another process has relays of its own now: the exit nodes end these. */
  forget(): void {
    for (const socket of this.#sockets.values()) socket.end();
    this.#sockets.clear();
  }

  #socketTo(peer: RelayPeer): RelaySocket {
    let socket = this.#sockets.get(peer);
    if (socket === undefined) {
      socket = new RelaySocket(this.relays, peer);
      this.#sockets.set(peer, socket);
    }
    return socket;
  }
}
