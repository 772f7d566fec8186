/** What the UDP relays of a worker share, those to exit nodes and those from entry nodes. */
import type { Continuable } from "../../../sys/event-loop.ts";
import { DATAGRAM_MAX, sendBatchBytes } from "../../../sys/mmsg.ts";
import { SOCKADDR_MAX } from "../../../sys/sockaddr.ts";
import type { RelayIdentity } from "../../relay/identity.ts";
import type { RelayDrop } from "../../table/counters.ts";
import type { Rules } from "../../table/route.ts";
import type { Target } from "../../table/target.ts";
import type { UdpSession } from "../session.ts";
import { SessionQuota } from "../session-quota.ts";
import { BATCH_SIZE, type UdpContext } from "../udp-context.ts";
import { PartAssembly, partAssemblyBytes } from "./part-assembly.ts";
import { PREFIX_BYTES, RelaySendBatch } from "./relay-send-batch.ts";

/** What relays need of the worker and its table. */
export interface RelayHost {
  readonly identity: RelayIdentity;
  /** A task of this node, for a session that another node asks for; null: there is none of that name. */
  findTask(service: string, task: string, targetPort: number): { target: Target; rules: Rules } | null;
  onDropped(reason: RelayDrop, datagrams: number): void;
}

/** Bytes of a worker's memory that a RelayContext takes. */
export const RELAY_CONTEXT_BYTES =
  2 * (sendBatchBytes(BATCH_SIZE) + BATCH_SIZE * PREFIX_BYTES) +
  2 * DATAGRAM_MAX +
  partAssemblyBytes(BATCH_SIZE) +
  4096;

export class RelayContext implements Continuable {
  /** To nodes that run tasks: connected sockets. To nodes that have accepted clients: unconnected ones. */
  readonly toExits: RelaySendBatch;
  readonly toEntries: RelaySendBatch;
  /** For one call at a time: a struct sockaddr. */
  readonly sockaddrAt: number;
  /** For one datagram at a time that is not in a batch. */
  readonly spareAt: number;
  /** For one HELLO or CONFIRM at a time. */
  readonly handshakeAt: number;
  /** For one PROBE at a time. */
  readonly probeAt: number;
  readonly parts: PartAssembly;
  #isQueued = false;
  readonly #quotas = new WeakMap<Rules, SessionQuota>();

  constructor(
    readonly udp: UdpContext,
    readonly host: RelayHost,
  ) {
    const { memory } = udp;
    this.toExits = new RelaySendBatch(memory, BATCH_SIZE, false);
    this.toEntries = new RelaySendBatch(memory, BATCH_SIZE, true);
    this.sockaddrAt = memory.take(SOCKADDR_MAX);
    this.spareAt = memory.take(DATAGRAM_MAX);
    this.handshakeAt = memory.take(PREFIX_BYTES);
    this.probeAt = memory.take(DATAGRAM_MAX);
    this.parts = new PartAssembly(memory, BATCH_SIZE);
  }

  random(bytes: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(bytes));
  }

  /** The quota on this worker of sessions under these rules. */
  quotaOf(rules: Rules): SessionQuota {
    let quota = this.#quotas.get(rules);
    if (quota === undefined) {
      quota = new SessionQuota(this.udp, rules);
      this.#quotas.set(rules, quota);
    }
    return quota;
  }

  /** Sends one datagram of a session, which may be relayed; not while a batch is being gathered. */
  sendAlone(session: UdpSession, data: Uint8Array): void {
    this.udp.toTasks.sendAlone(session, data);
    this.toExits.flush();
  }

  /** What has been added outside of a batch is sent before the loop waits again. */
  flushSoon(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.udp.loop.continueLater(this);
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
