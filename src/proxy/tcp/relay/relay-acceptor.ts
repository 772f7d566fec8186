/** One worker's listening socket of the relay. */

import type { DescriptorShare } from "../../table/descriptor-shares.ts";
import { RecentList } from "../../table/recent-list.ts";
import { Acceptor } from "../acceptor.ts";
import { InboundRelay } from "./inbound-relay.ts";

/** Connections that have not asked yet. A peer keeps at most 64 a worker. */
const MAX_SILENT = 4_096;

/**
 * Anybody can connect and say nothing, so the number of those is bounded, and a newcomer takes the place of the one that
 * has been silent for longest: whoever has the key asks at once, or finds its connection closed and opens another.
 */
export class RelayAcceptor extends Acceptor {
  /** Every client's connection passes through it. */
  readonly #silent = new RecentList<InboundRelay>();
  /** Of peers, as their headers have proved: few, and they stay. */
  readonly #beating = new Set<InboundRelay>();

  protected get share(): DescriptorShare {
    return this.context.worker.shares.relay;
  }

  protected get hasRoom(): boolean {
    return this.#silent.size < MAX_SILENT && this.share.hasRoom(1);
  }

  protected makeRoom(): boolean {
    while (!this.hasRoom) {
      const { oldest } = this.#silent;
      if (oldest === null) return false;
      this.context.refuseRelay("stale");
      oldest.close();
    }
    return true;
  }

  protected start(fd: number): void {
    const relay = new InboundRelay(this.context, fd, this);
    this.#silent.add(relay);
    this.share.add(1);
    relay.start();
  }

  /** Its heart beats. */
  onBeating(relay: InboundRelay): void {
    this.#forget(relay);
    this.#beating.add(relay);
  }

  /** It has been closed or is a client's connection now. */
  onGone(relay: InboundRelay): void {
    if (!this.#beating.delete(relay)) this.#forget(relay);
  }

  /** Connections that nobody uses go with it; those that clients use go on. */
  override close(): void {
    super.close();
    while (this.#silent.oldest !== null) this.#silent.oldest.close();
    for (const relay of [...this.#beating]) relay.close();
  }

  #forget(relay: InboundRelay): void {
    this.#silent.remove(relay);
    this.share.remove(1);
  }
}
