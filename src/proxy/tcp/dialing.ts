/**
 * A client's connection until a task accepts it. No byte of the client is read. Its FIN does not stop the dialing, its
 * RST does.
 *
 *   (AwaitingHeader) ──▶ dialing ──▶ Splicing
 *                           └──no task, reset, drained, evicted──▶ closed
 */
import { END_EVENTS, READ_EVENTS } from "../../sys/tcp-sockets.ts";
import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import { STAGE_CONNECT } from "../table/connection-record.ts";
import type { RefusalReason } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import { readEndpoint } from "../table/socket-address.ts";
import type { Target } from "../table/target.ts";
import { type Client, type CloseReason, closeUnserved, type Phase } from "./client.ts";
import { Dialer, type DialerOwner } from "./dialer.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import { Splicing } from "./splicing.ts";

export class Dialing implements Phase, DialerOwner {
  readonly #dialer: Dialer;
  readonly #namedLocal: Endpoint | null;
  #isWatched: boolean;

  /**
   * @param namedLocal where the client connected to, as a PROXY header or another node says; null: where its socket says
   * @param isWatched its socket is in the loop already
   */
  constructor(
    readonly client: Client,
    relayPools: RelayPools,
    namedLocal: Endpoint | null,
    isWatched: boolean,
  ) {
    this.#namedLocal = namedLocal;
    this.#isWatched = isWatched;
    this.#dialer = new Dialer(client.context, relayPools, client.endpoint, client.connections.share, this);
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
    if (this.#namedLocal !== null) return this.#namedLocal;
    const { memory, sockaddrAt, sockets } = this.client.context;
    sockets.localAddress(this.client.fd, memory.address(sockaddrAt));
    return readEndpoint(memory.bytes, sockaddrAt);
  }

  start(): void {
    const { client } = this;
    const { loop } = client.context;
    client.phase = this;
    client.stage = STAGE_CONNECT;
    client.dialedMs = loop.nowMs;
    if (this.#isWatched) loop.handOver(client.fd, this);
    this.#dialer.tryNext();
    if (client.phase !== this) return;
    const isWatched = this.#isWatched;
    this.#isWatched = true;
    // a reset from before this phase is reported again
    if (isWatched) loop.rewatch(client.fd, READ_EVENTS);
    else if (loop.watch(client.fd, READ_EVENTS, this) < 0) this.close("out-of-descriptors");
  }

  refreshRoute(): Route {
    return this.client.refreshRoute();
  }

  onEvents(_fd: number, events: number): void {
    if ((events & END_EVENTS) !== 0) this.close("client-gone");
  }

  onTargetsChanged(): void {
    this.#dialer.onTargetsChanged();
  }

  onDialed(target: Target, fd: number, isTaskWatched: boolean, keys: RecordKeys | null): void {
    this.#noteAttempts(target);
    new Splicing(this.client, target, fd, keys).start(this.#isWatched, isTaskWatched);
  }

  onDialFailed(reason: RefusalReason, errnoValue: number): void {
    this.client.errno = errnoValue;
    this.close(this.client.onDialFailed(reason, errnoValue));
  }

  close(reason: CloseReason): void {
    this.#dialer.abandon();
    this.#noteAttempts(this.#dialer.lastTried);
    closeUnserved(this.client, reason);
  }

  /** @param target that has accepted, or was tried last; null: none was */
  #noteAttempts(target: Target | null): void {
    const { client } = this;
    client.attempts = this.#dialer.attempts;
    client.hedges = this.#dialer.hedges;
    client.taskText = target === null ? null : target.text;
  }
}
