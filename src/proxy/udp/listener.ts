/**
 * One worker's socket of a published UDP port: finds out which client sent a datagram and whether the service admits it,
 * and hands the datagram to its session.
 */
import {
  AF_INET,
  AF_INET6,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN6_ADDRESS,
  sockaddrPort,
} from "../../sys/sockaddr.ts";
import { decodeProxyHeader, type Endpoint, parseIp } from "../../wire/index.ts";
import { S_UDP_BYTES_IN, S_UDP_DATAGRAMS_IN } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { HandedSessions } from "../table/session-rows.ts";
import { type ClientKey, KeyLayout } from "./client-key.ts";
import { type DatagramOwner, DatagramReceiver } from "./datagram-receiver.ts";
import { SessionSet, type TaskRelays } from "./session-set.ts";
import type { UdpContext } from "./udp-context.ts";

/** Version 2 headers start with CR, version 1 is for TCP only. [PROXY §2] */
const CARRIAGE_RETURN = 13;

export class UdpListener implements DatagramOwner {
  readonly layout: KeyLayout;
  readonly local: Endpoint;
  readonly text: Uint8Array;
  readonly #sessions: SessionSet;
  readonly #receiver: DatagramReceiver;
  /** The sender of the datagram at hand, in the batch's memory. */
  readonly #peer: Endpoint;
  /** Its client: the sender, or the source of its inbound PROXY header. */
  #client: Endpoint;
  readonly #addressOffset: number;
  /** Of the batch at hand. */
  #bytes = 0;

  /** @param address that `fd` is bound to */
  constructor(
    readonly context: UdpContext,
    readonly relays: TaskRelays,
    readonly fd: number,
    address: string,
    route: Route,
  ) {
    const { family, bytes } = parseIp(address)!;
    this.layout = new KeyLayout(family === 4 ? AF_INET : AF_INET6, isWildcard(bytes));
    this.text = new TextEncoder().encode(address);
    this.local = { family, bytes, offset: 0, port: route.published };
    this.#sessions = new SessionSet(context, relays, this, route);
    this.#addressOffset = family === 4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS;
    this.#peer = { family, bytes: context.memory.bytes, offset: 0, port: 0 };
    this.#client = this.#peer;
    this.#receiver = new DatagramReceiver(context, fd, this);
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

  close(): void {
    this.context.replies.flush();
    this.#sessions.closeAll();
    this.#receiver.close();
  }

  /** Nothing is read until `resume`. Returns what another process needs to continue the sessions. */
  pause(): HandedSessions {
    this.#receiver.pause();
    this.context.replies.flush();
    return this.#sessions.pause();
  }

  resume(): void {
    this.#sessions.resume();
    this.#receiver.resume();
  }

  /** Sessions that another process had on this socket. */
  continueSessions(sessions: HandedSessions): void {
    this.#sessions.continueAll(sessions);
  }

  /** Another process has the socket too, and reads it. */
  forget(): void {
    this.context.loop.unwatch(this.fd);
    this.leave();
  }

  /** After `pause`: another process continues the sessions. */
  leave(): void {
    this.#sessions.leaveAll();
    this.close();
  }

  onDatagram(slot: number): void {
    const { incoming, key, toTasks } = this.context;
    const { rules } = this.route;
    const length = incoming.length(slot);
    this.#bytes += length;
    if (incoming.isTruncated(slot)) return rules.refuseUdp("too-long");
    this.#readPeer(slot);
    this.layout.read(incoming, slot, key);
    const headerLength = rules.hasAcceptProxy ? this.#readHeader(slot, key) : 0;
    if (headerLength < 0) return rules.refuseUdp("bad-proxy-header");
    const client = this.#client;
    if (!rules.admits(client.family, client.bytes, client.offset)) return rules.refuseUdp("denied");
    const session = this.#sessions.forDatagram(key, client);
    if (session === null) return rules.refuseUdp(this.#sessions.refusal);
    session.datagramsIn++;
    session.bytesIn += length - headerLength;
    toTasks.add(session, slot, incoming.payloadAt(slot) + headerLength, length - headerLength);
  }

  onBatchEnd(datagrams: number): void {
    const { rules } = this.route;
    this.context.toTasks.sendAll();
    this.relays.flush();
    rules.count(S_UDP_DATAGRAMS_IN, datagrams);
    rules.count(S_UDP_BYTES_IN, this.#bytes);
    this.#bytes = 0;
  }

  #readPeer(slot: number): void {
    const nameAt = this.context.incoming.nameAt(slot);
    this.#peer.offset = nameAt + this.#addressOffset;
    this.#peer.port = sockaddrPort(this.#peer.bytes, nameAt);
    this.#client = this.#peer;
  }

  /** Length of the inbound PROXY header, 0 for a peer that sends none; -1: it is invalid. Sets the client. */
  #readHeader(slot: number, key: ClientKey): number {
    const { header, incoming, memory } = this.context;
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
    this.#client = header.source;
    return header.headerLength;
  }
}

function isWildcard(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}
