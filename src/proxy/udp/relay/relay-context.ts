/** What the links of a worker share, in both roles. */

import type { Continuable } from "../../../sys/event-loop.ts";
import { DATAGRAM_MAX, sendBatchBytes } from "../../../sys/mmsg.ts";
import type { RelayIdentity } from "../../relay/identity.ts";
import type { RelayDrop } from "../../table/counters.ts";
import type { Rules } from "../../table/route.ts";
import type { Target } from "../../table/target.ts";
import { SessionQuota } from "../session-quota.ts";
import type { UdpContext } from "../udp-context.ts";
import { PartAssembly, partAssemblyBytes } from "./part-assembly.ts";
import { PREFIX_BYTES, RelaySendBatch } from "./relay-send-batch.ts";
import { RelaySocket } from "./relay-socket.ts";

/** Another node and the address of its relay. */
export interface UdpPeer {
  readonly name: string;
  readonly isSealed: boolean;
  /** Its heartbeat has not stopped. */
  readonly isReachable: boolean;
  /** Of its heartbeat; 0: there has been none. */
  readonly rttMs: number;
  readonly family: number;
  readonly udpSockaddr: Uint8Array;
  readonly sockaddrLength: number;
  /** That it is reached from, whatever its port; null: any. */
  readonly sourceSockaddr: Uint8Array | null;
}

/** What links need of the worker and its table. */
export interface RelayHost {
  readonly identity: RelayIdentity;
  /** A task of this node, for a session that another node asks for; null: there is none of that name. */
  findTask(service: string, task: string, targetPort: number): { target: Target; rules: Rules } | null;
  onDropped(reason: RelayDrop, datagrams: number): void;
}

/** Bytes of a worker's memory that a RelayContext takes. */
export function relayContextBytes(size: number): number {
  return 2 * (sendBatchBytes(size) + size * PREFIX_BYTES) + 2 * DATAGRAM_MAX + partAssemblyBytes(size) + 4096;
}

export class RelayContext implements Continuable {
  /** To nodes that run tasks: connected sockets. To nodes that have accepted clients: unconnected ones. */
  readonly toExits: RelaySendBatch;
  readonly toEntries: RelaySendBatch;
  /** For one datagram at a time that is not in a batch. */
  readonly spareAt: number;
  /** And for one HELLO or CONFIRM. */
  readonly handshakeAt: number;
  /** And for one PROBE. */
  readonly probeAt: number;
  readonly parts: PartAssembly;
  #isQueued = false;
  /** bounded by the number of peers */
  readonly #sockets = new Map<UdpPeer, RelaySocket>();
  readonly #quotas = new WeakMap<Rules, SessionQuota>();

  constructor(
    readonly context: UdpContext,
    readonly host: RelayHost,
    size: number,
  ) {
    this.toExits = new RelaySendBatch(context, size, false);
    this.toEntries = new RelaySendBatch(context, size, true);
    this.spareAt = context.memory.take(DATAGRAM_MAX);
    this.handshakeAt = context.memory.take(PREFIX_BYTES);
    this.probeAt = context.memory.take(DATAGRAM_MAX);
    this.parts = new PartAssembly(context.memory, size);
  }

  random(bytes: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(bytes));
  }

  /** What sessions under these rules have here. */
  quotaOf(rules: Rules): SessionQuota {
    let quota = this.#quotas.get(rules);
    if (quota === undefined) {
      quota = new SessionQuota(this.context, rules);
      this.#quotas.set(rules, quota);
    }
    return quota;
  }

  socketTo(peer: UdpPeer): RelaySocket {
    let socket = this.#sockets.get(peer);
    if (socket === undefined) {
      socket = new RelaySocket(this, peer);
      this.#sockets.set(peer, socket);
    }
    return socket;
  }

  /** Ends the links to peers that are not reached any more. */
  keepOnly(peers: ReadonlySet<UdpPeer>): void {
    for (const [peer, socket] of this.#sockets) {
      if (peers.has(peer)) continue;
      this.#sockets.delete(peer);
      socket.end();
    }
  }

  /** What has been added outside of a batch goes out before the loop waits again. */
  flushSoon(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }

  onContinue(): void {
    this.#isQueued = false;
    this.flush();
  }

  flush(): void {
    this.toExits.flush();
    this.toEntries.flush();
  }
}
