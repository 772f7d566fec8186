/**
 * A client's connection to a port that services share by server names, until its TLS ClientHello has arrived. Nothing is
 * taken from the socket: the hello stays there for the flow.
 *
 *   accepted ──▶ (AwaitingHeader) ──▶ awaiting ──name, or known to have none──▶ Dialing
 *                                        └──no service, reset, not admitted──▶ closed
 *
 * Bytes that stay unread raise an edge with every segment; SO_RCVLOWAT holds the edges back until there are as many as
 * the hello needs, so a client costs few looks however small its segments are.
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { EPOLLRDHUP } from "../../sys/epoll.ts";
import { EAGAIN } from "../../sys/errno.ts";
import { MSG_PEEK } from "../../sys/socket.ts";
import { READ_EVENTS } from "../../sys/tcp-sockets.ts";
import { decodeClientHello, type Endpoint, MAX_CLIENT_HELLO_BYTES } from "../../wire/index.ts";
import type { RefusalReason } from "../table/counters.ts";
import { type Client, type CloseReason, closeUnserved, type Phase } from "./client.ts";
import { Dialing } from "./dialing.ts";
import type { LocalClient } from "./local-client.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import type { ServiceConnections } from "./service-connections.ts";

export class AwaitingHello extends Waiting implements Phase {
  #isMarkSet = false;
  #isWatched: boolean;

  /**
   * @param namedLocal where the client connected to, as a PROXY header says; null: where its socket says
   * @param isWatched its socket is in the loop already
   */
  constructor(
    readonly client: LocalClient,
    readonly relayPools: RelayPools,
    readonly connectionsOf: (slot: number) => ServiceConnections<Client>,
    readonly namedLocal: Endpoint | null,
    isWatched: boolean,
  ) {
    super();
    this.#isWatched = isWatched;
  }

  get target(): null {
    return null;
  }

  /** Not to its service: when descriptors run out, clients that have not said whose they are make room first. */
  get hasSpoken(): boolean {
    return false;
  }

  get usedMs(): number {
    return this.client.startedMs;
  }

  start(): void {
    const { client } = this;
    const { helloDeadline, loop } = client.context;
    client.phase = this;
    helloDeadline.arm(this, loop.nowMs);
    if (this.#isWatched) loop.handOver(client.fd, this);
    this.onEvents(client.fd, 0);
    if (client.phase !== this) return;
    const isWatched = this.#isWatched;
    this.#isWatched = true;
    if (isWatched) loop.rewatch(client.fd, READ_EVENTS);
    else if (loop.watch(client.fd, READ_EVENTS, this) < 0) this.close("out-of-descriptors");
  }

  onEvents(fd: number, events: number): void {
    const { hello, helloMemory, sockets } = this.client.context;
    const peeked = sockets.recv(fd, helloMemory.address(0), MAX_CLIENT_HELLO_BYTES, MSG_PEEK);
    if (peeked === -EAGAIN) return;
    if (peeked < 0) return this.close("client-gone");
    decodeClientHello(helloMemory.bytes, 0, peeked, hello);
    if (hello.status === "complete") return this.#choose(hello.serverName);
    // an incomplete one of so many bytes cannot get any longer
    if (hello.status === "malformed" || peeked === MAX_CLIENT_HELLO_BYTES) return this.#choose(null);
    // no more follows a FIN
    if (peeked === 0 || (events & EPOLLRDHUP) !== 0) return this.#choose(null);
    this.#isMarkSet = true;
    sockets.setReceiveLowWater(fd, hello.neededBytes);
  }

  onDeadline(): void {
    this.#choose(null, "late-client-hello");
  }

  onTargetsChanged(): void {}

  close(reason: CloseReason): void {
    this.waitingIn?.cancel(this);
    closeUnserved(this.client, reason);
  }

  /** @param reason of the refusal when no service has the client */
  #choose(serverName: string | null, reason: RefusalReason = "unknown-server-name"): void {
    const { client } = this;
    const route = client.findRoute(serverName);
    if (route === null) return this.close(reason);
    this.waitingIn?.cancel(this);
    if (this.#isMarkSet) client.context.sockets.setReceiveLowWater(client.fd, 1);
    const refusal = client.moveTo(route, this.connectionsOf(route.rules.slot));
    if (refusal !== null) return closeUnserved(client, refusal);
    new Dialing(client, this.relayPools, this.namedLocal, this.#isWatched).start();
  }
}
