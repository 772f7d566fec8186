/** One worker's listening socket for relay connections. */

import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { RecentList } from "../table/recent-list.ts";
import type { Route } from "../table/route.ts";
import { Acceptor } from "./acceptor.ts";
import type { Clients } from "./clients.ts";
import { type InboundOwner, InboundRelay } from "./relay/inbound-relay.ts";

/** Connections without a request yet. A peer keeps at most 64 per worker. */
const MAX_SILENT = 4_096;

/**
 * Strangers can connect and stay silent, so the number of silent connections is bounded and a new one replaces the oldest.
 * A node sends its request at once, or notices that its connection is closed and opens another.
 */
export class RelayAcceptor extends Acceptor implements InboundOwner {
  /** No request yet, oldest first; every client's connection passes through it. */
  readonly #silent = new RecentList<InboundRelay>();
  /** Heartbeats of authenticated peers: few, and long-lived. */
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

  /** It carries a heartbeat. */
  onBeating(relay: InboundRelay): void {
    this.#forget(relay);
    this.#beating.add(relay);
  }

  /** It is closed, or a client's connection. */
  onGone(relay: InboundRelay): void {
    if (!this.#beating.delete(relay)) this.#forget(relay);
  }

  /** Also closes connections without a client; clients' connections continue. */
  override close(): void {
    super.close();
    this.#closeClientless();
  }

  /** As `close`: peers open their warm connections to the other process. */
  override forget(): void {
    super.forget();
    this.#closeClientless();
  }

  #closeClientless(): void {
    while (this.#silent.oldest !== null) this.#silent.oldest.close();
    for (const relay of [...this.#beating]) relay.close();
  }

  #forget(relay: InboundRelay): void {
    this.#silent.remove(relay);
    this.share.remove(1);
  }
}
