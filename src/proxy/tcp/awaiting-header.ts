/**
 * A client's connection until its PROXY header has arrived:
 *
 *   accepted ──▶ awaiting ──complete──▶ Dialing
 *                   └──malformed, late, FIN, reset, not admitted──▶ closed
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { READ_EVENTS } from "../../sys/tcp-sockets.ts";
import { type Client, type CloseReason, closeUnserved, type Phase } from "./client.ts";
import { Dialing } from "./dialing.ts";
import { copyEndpoint, readProxyHeader } from "./header-reader.ts";
import type { RelayPools } from "./relay/relay-pool.ts";

export class AwaitingHeader extends Waiting implements Phase {
  #isWatched = false;

  constructor(
    readonly client: Client,
    readonly relayPools: RelayPools,
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
    if (outcome === "malformed") this.close("bad-proxy-header");
    else if (outcome === "ended") this.close("client-gone");
    else if (outcome === "complete") this.#onHeader();
  }

  onDeadline(): void {
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
    if (isNamed) client.endpoint = copyEndpoint(source);
    if (!client.isAdmitted) return this.close("denied");
    this.waitingIn?.cancel(this);
    const published = isNamed ? copyEndpoint(destination) : null;
    new Dialing(client, this.relayPools, published, this.#isWatched).start();
  }
}
