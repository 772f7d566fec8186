/** One worker's listening socket of the relay. */
import { RecentList } from "../../recent-list.ts";
import { Acceptor } from "../acceptor.ts";
import type { TcpContext } from "../tcp-context.ts";
import { InboundRelay } from "./inbound-relay.ts";

/** Connections that have not asked yet. A peer keeps at most 64 a worker. */
const MAX_SILENT = 4_096;
/** Share of all descriptors that they may have. */
const SILENT_SHARE = 4;

/**
 * Anybody can connect and say nothing, so the number of those is bounded, and a newcomer takes the place of the one that
 * has been silent for longest: whoever has the key asks at once, or finds its connection closed and opens another.
 */
export class RelayAcceptor extends Acceptor {
  readonly #maxSilent: number;
  /** Every client's connection passes through it. */
  readonly #silent = new RecentList<InboundRelay>();
  /** Of peers, as their headers have proved: few, and they stay. */
  readonly #beating = new Set<InboundRelay>();

  constructor(context: TcpContext, fd: number) {
    super(context, fd);
    const { descriptors, counters } = context.worker;
    const share = Math.floor(descriptors.pauseAtFd / SILENT_SHARE / counters.services.length);
    this.#maxSilent = Math.max(1, Math.min(MAX_SILENT, share));
  }

  protected start(fd: number): void {
    if (this.#silent.size >= this.#maxSilent) this.#evictOldest();
    const relay = new InboundRelay(this.context, fd, this);
    this.#silent.add(relay);
    relay.start();
  }

  /** Its heart beats. */
  onBeating(relay: InboundRelay): void {
    this.#silent.remove(relay);
    this.#beating.add(relay);
  }

  /** It has been closed or is a client's connection now. */
  onGone(relay: InboundRelay): void {
    if (!this.#beating.delete(relay)) this.#silent.remove(relay);
  }

  /** Connections that nobody uses go with it; those that clients use go on. */
  override close(): void {
    super.close();
    while (this.#silent.oldest !== null) this.#silent.oldest.close();
    for (const relay of [...this.#beating]) relay.close();
  }

  #evictOldest(): void {
    this.context.refuseRelay("stale");
    this.#silent.oldest!.close();
  }
}
