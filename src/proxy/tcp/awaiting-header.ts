/**
 * A client's connection until its PROXY header has arrived:
 *
 *   accepted ──▶ awaiting ──complete──▶ Dialing
 *                   └──malformed, late, FIN, reset, not admitted──▶ closed
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { ETIMEDOUT } from "../../sys/errno.ts";
import { READ_EVENTS } from "../../sys/tcp-sockets.ts";
import type { Endpoint } from "../../wire/index.ts";
import { AwaitingHello } from "./awaiting-hello.ts";
import { type Client, type CloseReason, closeUnserved, type Phase } from "./client.ts";
import { Dialing } from "./dialing.ts";
import { copyEndpoint, readProxyHeader } from "./header-reader.ts";
import type { LocalClient } from "./local-client.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import type { ServiceConnections } from "./service-connections.ts";

export class AwaitingHeader extends Waiting implements Phase {
  #isWatched = false;

  constructor(
    readonly client: LocalClient,
    readonly relayPools: RelayPools,
    readonly connectionsOf: (slot: number) => ServiceConnections<Client>,
  ) {
    super();
  }

  get target(): null {
    return null;
  }

  get hasSpoken(): boolean {
    return false;
  }

  get usedMs(): number {
    return this.client.startedMs;
  }

  start(): void {
    const { client } = this;
    const { headerDeadline, loop } = client.context;
    client.phase = this;
    headerDeadline.arm(this, loop.nowMs);
    this.onEvents();
    if (client.phase !== this) return;
    this.#isWatched = true;
    if (loop.watch(client.fd, READ_EVENTS, this) < 0) this.close("out-of-descriptors");
  }

  onEvents(): void {
    const outcome = readProxyHeader(this.client.context, this.client.fd);
    if (outcome === "malformed") this.#onNoHeader();
    else if (outcome === "ended") this.close("client-gone");
    else if (outcome === "complete") this.#onHeader();
  }

  onDeadline(): void {
    this.client.errno = ETIMEDOUT;
    this.close("bad-proxy-header");
  }

  onTargetsChanged(): void {}

  close(reason: CloseReason): void {
    this.waitingIn?.cancel(this);
    closeUnserved(this.client, reason);
  }

  #onHeader(): void {
    const { client } = this;
    const { command, transport, hasEndpoints, source, destination } = client.context.proxyHeader;
    const isNamed = command === "proxy" && transport === "tcp" && hasEndpoints;
    client.onHeader(isNamed ? copyEndpoint(source) : null);
    const published = isNamed ? copyEndpoint(destination) : null;
    if (client.isUnnamed) return this.#awaitHello(published);
    const refusal = client.admit();
    if (refusal !== null) return this.close(refusal);
    this.waitingIn?.cancel(this);
    new Dialing(client, this.relayPools, published, this.#isWatched).start();
  }

  /** Of the services that share the port another may be meant, which takes no header from this address. */
  #onNoHeader(): void {
    if (this.client.isUnnamed) this.#awaitHello(null);
    else this.close("bad-proxy-header");
  }

  #awaitHello(published: Endpoint | null): void {
    this.waitingIn?.cancel(this);
    new AwaitingHello(this.client, this.relayPools, this.connectionsOf, published, this.#isWatched).start();
  }
}
