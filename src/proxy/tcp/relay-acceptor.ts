/** One worker's listening socket of the relay. */

import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { RecentList } from "../table/recent-list.ts";
import type { Route } from "../table/route.ts";
import { Acceptor } from "./acceptor.ts";
import type { Clients } from "./clients.ts";
import { type InboundOwner, InboundRelay } from "./relay/inbound-relay.ts";

/** Connections that have not asked yet. A peer keeps at most 64 a worker. */
const MAX_SILENT = 4_096;

/**
 * Anybody can connect and say nothing, so the number of those is bounded, and a newcomer takes the place of the one that
 * has been silent for longest: whoever has the key asks at once, or finds its connection closed and opens another.
 */
export class RelayAcceptor extends Acceptor implements InboundOwner {
  /** Every client's connection passes through it. */
  readonly #silent = new RecentList<InboundRelay>();
  /** Of peers, as their headers have proved: few, and they stay. */
  readonly #beating = new Set<InboundRelay>();

  constructor(
    readonly clients: Clients,
    fd: number,
  ) {
    super(clients.context, fd);
  }

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

  makeRoomFor({ rules }: Route): boolean {
    return this.clients.of(rules.slot).makeRoom(this.context.loop.nowMs);
  }

  onClient(fd: number, client: Endpoint, route: Route, published: Endpoint, keys: RecordKeys | null): void {
    this.clients.startRelayed(fd, client, route, published, keys);
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
