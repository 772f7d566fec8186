/**
 * A client's connection until a task accepts it:
 *
 *   (awaiting a PROXY header) ──▶ dialing ──▶ Splicing
 *              │                     │
 *              └──────▶ closed ◀─────┘
 *
 * No byte of the client is read except an inbound PROXY header. The client's FIN does not stop the dialing, its RST does.
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { END_EVENTS, READ_EVENTS } from "../../sys/tcp-sockets.ts";
import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import type { RefusalReason } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import { readEndpoint } from "../table/socket-address.ts";
import type { Target } from "../table/target.ts";
import type { Client, CloseReason, Phase } from "./client.ts";
import { Dialer, type DialerOwner } from "./dialer.ts";
import { copyEndpoint, readProxyHeader } from "./header-reader.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import { Splicing } from "./splicing.ts";
import type { TcpContext } from "./tcp-context.ts";

export class Opening extends Waiting implements Phase, DialerOwner {
  /** null: the PROXY header is awaited. */
  #dialer: Dialer | null = null;

  #isWatched: boolean;
  /** Where the client connected to, as another node or a PROXY header says; null: where its socket says. */
  #namedLocal: Endpoint | null;

  /** @param isWatched its socket is in the loop already */
  constructor(
    readonly client: Client,
    readonly relayPools: RelayPools,
    isWatched: boolean,
    namedLocal: Endpoint | null,
  ) {
    super();
    this.#isWatched = isWatched;
    this.#namedLocal = namedLocal;
    client.phase = this;
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

  get published(): Endpoint {
    return this.#namedLocal ?? localEndpoint(this.client.context, this.client.fd);
  }

  start(): void {
    if (this.client.isHeaderExpected) this.#awaitHeader();
    else this.#admit();
  }

  refreshRoute(): Route {
    return this.client.refreshRoute();
  }

  onEvents(_fd: number, events: number): void {
    if (this.#dialer === null) this.#readHeader();
    else if ((events & END_EVENTS) !== 0) this.close("client-gone");
  }

  /** The header did not arrive in time. */
  onDeadline(): void {
    this.close("bad-proxy-header");
  }

  onTargetsChanged(): void {
    this.#dialer?.onTargetsChanged();
  }

  onDialed(target: Target, fd: number, isTaskWatched: boolean, keys: RecordKeys | null): void {
    new Splicing(this.client, target, fd, keys).start(this.#isWatched, isTaskWatched);
  }

  onDialFailed(reason: RefusalReason, errnoValue: number): void {
    this.close(this.client.onDialFailed(reason, errnoValue));
  }

  close(reason: CloseReason): void {
    this.waitingIn?.cancel(this);
    this.#dialer?.abandon();
    this.client.closeSocket(reason);
    this.client.onClosed(reason, null, 0, 0);
  }

  #awaitHeader(): void {
    const { headerDeadline, loop } = this.client.context;
    headerDeadline.arm(this, loop.nowMs);
    this.#readHeader();
    if (this.#dialer === null) this.#watch();
  }

  #readHeader(): void {
    const { client } = this;
    const outcome = readProxyHeader(client.context, client.fd);
    if (outcome === "incomplete") return;
    this.waitingIn?.cancel(this);
    if (outcome === "malformed") this.close("bad-proxy-header");
    else if (outcome === "ended") this.close("client-gone");
    else {
      this.#applyHeader();
      this.#admit();
    }
  }

  #applyHeader(): void {
    const { client } = this;
    const { proxyHeader } = client.context;
    if (proxyHeader.command !== "proxy" || proxyHeader.transport !== "tcp" || !proxyHeader.hasEndpoints)
      return;
    client.endpoint = copyEndpoint(proxyHeader.source);
    this.#namedLocal = copyEndpoint(proxyHeader.destination);
  }

  #admit(): void {
    if (this.client.isAdmitted) this.#dial();
    else this.close("denied");
  }

  #dial(): void {
    const { context, endpoint, connections } = this.client;
    this.#dialer = new Dialer(context, this.relayPools, endpoint, connections.share, this);
    this.#dialer.tryNext();
    this.#watch();
  }

  /** While the phase lasts. A condition that held before this phase is reported again. */
  #watch(): void {
    if (this.client.phase !== this) return;
    const { client } = this;
    const { loop } = client.context;
    const isWatched = this.#isWatched;
    this.#isWatched = true;
    if (isWatched) loop.rewatch(client.fd, READ_EVENTS);
    else if (loop.watch(client.fd, READ_EVENTS, this) < 0) this.close("out-of-descriptors");
  }
}

function localEndpoint({ memory, sockaddrAt, sockets }: TcpContext, fd: number): Endpoint {
  sockets.localAddress(fd, memory.address(sockaddrAt));
  return readEndpoint(memory.bytes, sockaddrAt);
}
