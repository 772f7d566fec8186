/**
 * One worker's socket of a published UDP port: receives in batches, finds out who each datagram's client is and whether
 * it is served, and hands it to its session.
 */

import { EPOLLIN } from "../../sys/epoll.ts";
import { EAGAIN } from "../../sys/errno.ts";
import type { Continuable, Pollable } from "../../sys/event-loop.ts";
import {
  AF_INET,
  AF_INET6,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN6_ADDRESS,
  sockaddrPort,
} from "../../sys/sockaddr.ts";
import { createEndpoint, decodeProxyHeader, type Endpoint, parseIp } from "../../wire/index.ts";
import { S_UDP_BYTES_IN, S_UDP_DATAGRAMS_IN } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import { KeyLayout } from "./client-key.ts";
import { SessionSet } from "./session-set.ts";
import { BATCH_SIZE, type UdpContext } from "./udp-context.ts";

/** Errors in a row after which a broken socket waits for its next event. */
const MAX_ERRORS = 16;
/** Version 2 headers start with CR, version 1 is for TCP only. [PROXY §2] */
const CARRIAGE_RETURN = 13;

export class UdpListener implements Pollable, Continuable {
  readonly #sessions: SessionSet;
  /** Who sent the datagram at hand, in the batch's memory. */
  readonly #peer: Endpoint = createEndpoint();
  readonly #addressOffset: number;
  #errors = 0;
  #isQueued = false;
  #isClosed = false;

  /** @param address that `fd` is bound to */
  constructor(
    readonly context: UdpContext,
    readonly fd: number,
    address: string,
    route: Route,
  ) {
    const { family, bytes } = parseIp(address)!;
    const layout = new KeyLayout(family === 4 ? AF_INET : AF_INET6, isWildcard(bytes));
    const local: Endpoint = { family, bytes, offset: 0, port: route.published };
    this.#sessions = new SessionSet(context, fd, layout, local, route);
    this.#addressOffset = family === 4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS;
    this.#peer = { family, bytes: context.memory.bytes, offset: 0, port: 0 };
    context.loop.watch(fd, EPOLLIN, this);
  }

  get route(): Route {
    return this.#sessions.route;
  }

  set route(route: Route) {
    this.#sessions.route = route;
  }

  onTargetsChanged(nowMs: number): void {
    this.#sessions.onTargetsChanged(nowMs);
  }

  onEvents(): void {
    if (!this.#isQueued) this.#receiveBatch();
  }

  onContinue(): void {
    this.#isQueued = false;
    if (!this.#isClosed) this.#receiveBatch();
  }

  close(): void {
    this.context.replies.flush();
    this.#sessions.closeAll();
    this.#isClosed = true;
    this.context.loop.close(this.fd);
  }

  /** One batch a turn, so that answers are not held up. */
  #receiveBatch(): void {
    const { incoming, toTasks } = this.context;
    const count = incoming.receive(this.fd, 0, BATCH_SIZE);
    if (count < 0) return this.#onError(-count);
    this.#errors = 0;
    let bytes = 0;
    for (let slot = 0; slot < count; slot++) {
      bytes += incoming.length(slot);
      this.#onDatagram(slot);
    }
    toTasks.sendAll();
    const { rules } = this.route;
    rules.count(S_UDP_DATAGRAMS_IN, count);
    rules.count(S_UDP_BYTES_IN, bytes);
    // what arrives after a short batch raises a new edge
    if (count === BATCH_SIZE) this.#queue();
  }

  #onError(error: number): void {
    if (error !== EAGAIN && ++this.#errors < MAX_ERRORS) this.#queue();
  }

  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.context.loop.continueLater(this);
  }

  #onDatagram(slot: number): void {
    const { context, route } = this;
    const { incoming, key } = context;
    const { rules } = route;
    if (incoming.isTruncated(slot)) return rules.refuse("too-long");
    this.#readPeer(slot);
    this.#sessions.layout.read(incoming, slot, key);
    const headerLength = rules.hasAcceptProxy ? this.#readHeader(slot) : 0;
    if (headerLength < 0) return rules.refuse("bad-proxy-header");
    const { client } = context;
    if (!rules.admits(client.family, client.bytes, client.offset)) return rules.refuse("denied");
    const session = this.#sessions.forDatagram();
    if (session === null) return rules.refuse(this.#sessions.refusal);
    const payloadAt = incoming.payloadAt(slot) + headerLength;
    context.toTasks.add(session, slot, payloadAt, incoming.length(slot) - headerLength);
  }

  #readPeer(slot: number): void {
    const { incoming } = this.context;
    const nameAt = incoming.nameAt(slot);
    this.#peer.offset = nameAt + this.#addressOffset;
    this.#peer.port = sockaddrPort(this.#peer.bytes, nameAt);
    this.context.client = this.#peer;
  }

  /** Length of the inbound PROXY header, 0 for a peer that sends none; -1 when it is not one. Sets the client. */
  #readHeader(slot: number): number {
    const { context } = this;
    const { header, incoming, key, memory } = context;
    const { family, bytes, offset } = this.#peer;
    if (!this.route.rules.acceptProxy.matches(family, bytes, offset)) return 0;
    const at = incoming.payloadAt(slot);
    const length = incoming.length(slot);
    if (length === 0 || memory.bytes[at] !== CARRIAGE_RETURN) return -1;
    decodeProxyHeader(memory.bytes, at, length, header);
    if (header.status !== "complete") return -1;
    if (header.command === "local" || !header.hasEndpoints) return header.headerLength;
    if (header.transport !== "udp") return -1;
    key.appendEndpoint(header.source);
    key.appendEndpoint(header.destination);
    context.client = header.source;
    return header.headerLength;
  }
}

function isWildcard(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}
