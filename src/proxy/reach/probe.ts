/**
 * One attempt of the main thread to reach a task. Only tasks that have failed a client are probed.
 *
 * TCP: a connection, which is closed once it is open. UDP on this host: a look at the kernel's table of sockets, so that
 * no program gets a datagram that no client has sent. UDP elsewhere: a datagram, and a look whether ICMP refuses it, as
 * keepalived's UDP_CHECK does; of one byte, because some programs take an empty one for the end. Other hosts send one
 * ICMP error a second [icmp(7): icmp_ratelimit], so silence after one datagram proves nothing; after a second one, half a
 * second later, it does. A host that is off takes longer: its neighbours ask for its address three times,
 * a second apart [RFC 826; arp(7): mcast_solicit].
 */
import { scratch } from "../../sys/arena.ts";
import {
  EADDRNOTAVAIL,
  EAGAIN,
  EALREADY,
  EHOSTUNREACH,
  EINPROGRESS,
  EISCONN,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
} from "../../sys/errno.ts";
import { AF_INET, AF_INET6, writeSockaddr } from "../../sys/sockaddr.ts";
import {
  close,
  connect,
  localAddress,
  send,
  setReportErrors,
  takeError,
  tcpSocket,
  udpSocket,
} from "../../sys/socket.ts";
import type { UdpSockets } from "../../sys/udp-sockets.ts";
import { parseIp } from "../../wire/index.ts";
import type { TaskEndpoint } from "../table/routing-table.ts";
import { readEndpoint } from "../table/socket-address.ts";

/** Where a task of this node takes its clients. */
export type ProbeResult =
  | "answered"
  | "refused" // by its host or by a router on the path
  | "silent"
  | "not-sent"; // this host lacks a descriptor, a port or memory: says nothing about the task

/** Within it TCP sends a second SYN. */
const TCP_PATIENCE_MS = 2_400;
/** An ICMP error from within a continent has come back by then. */
const UDP_PATIENCE_MS = 100;
const SECOND_DATAGRAM_MS = 500;
const HOST_OFF_PATIENCE_MS = 3_500;
/** In the scratch memory, behind what localAddress needs itself. */
const LOCAL_AT = 64;
const OWN_SHORTAGES: readonly number[] = [EADDRNOTAVAIL, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM];

export class Probe {
  #fd: number;
  #result: ProbeResult | null = null;
  #sentMs: number;
  /** UDP of another host: silence after the first datagram proves nothing. */
  #needsSecond = false;
  #isSecond = false;
  readonly #udpPatienceMs: number;

  /** @param lastErrno positive errno of the failure before */
  constructor(
    readonly task: TaskEndpoint,
    public lastErrno: number,
    nowMs: number,
    udpSockets: Pick<UdpSockets, "isBound">,
  ) {
    this.#sentMs = nowMs;
    this.#udpPatienceMs = lastErrno === EHOSTUNREACH ? HOST_OFF_PATIENCE_MS : UDP_PATIENCE_MS;
    const { bytes } = parseIp(task.address)!;
    const family = bytes.length === 4 ? AF_INET : AF_INET6;
    const isTcp = task.protocol === "tcp";
    this.#fd = isTcp ? tcpSocket(family) : udpSocket(family);
    if (this.#fd < 0) {
      this.#end("not-sent");
      return;
    }
    if (!isTcp) setReportErrors(this.#fd, family);
    const connected = this.#connect();
    if (isTcp) this.#onConnect(connected);
    else this.#onReady(connected, bytes, udpSockets);
  }

  /** Its host limits the rate of its ICMP errors. */
  get isRateLimited(): boolean {
    return this.#needsSecond;
  }

  /** null: not known yet. */
  poll(nowMs: number): ProbeResult | null {
    if (this.#result !== null) return this.#result;
    if (this.task.protocol === "tcp") this.#pollTcp(nowMs);
    else this.#pollUdp(nowMs);
    return this.#result;
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }

  #pollTcp(nowMs: number): void {
    this.#onConnect(this.#connect());
    if (this.#result === null && nowMs - this.#sentMs >= TCP_PATIENCE_MS) this.#end("silent");
  }

  #connect(): number {
    const { address, port } = this.task;
    const length = writeSockaddr(scratch.bytes, 0, parseIp(address)!.bytes, port);
    return connect(this.#fd, scratch.address(0), length);
  }

  #onConnect(outcome: number): void {
    if (outcome === 0 || outcome === -EISCONN) this.#end("answered");
    else if (outcome !== -EINPROGRESS && outcome !== -EALREADY) this.#onError(-outcome);
  }

  #onReady(connected: number, peer: Uint8Array, udpSockets: Pick<UdpSockets, "isBound">): void {
    if (connected < 0) return this.#onError(-connected);
    if (this.#isOnThisHost(peer))
      return this.#end(udpSockets.isBound(peer, this.task.port) ? "answered" : "refused");
    this.#needsSecond = true;
    this.#send();
  }

  #pollUdp(nowMs: number): void {
    const error = takeError(this.#fd);
    if (error !== 0) return this.#onError(error);
    const silentMs = nowMs - this.#sentMs;
    if (this.#isSecond) {
      if (silentMs >= this.#udpPatienceMs) this.#end("answered");
    } else if (silentMs >= SECOND_DATAGRAM_MS) {
      this.#isSecond = true;
      this.#sentMs = nowMs;
      this.#send();
    }
  }

  #send(): void {
    scratch.bytes[0] = 0;
    const sent = send(this.#fd, scratch.address(0), 1);
    if (sent < 0) this.#onError(-sent);
  }

  /** The kernel talks to an address of this host from that address, and to 127/8 from 127.0.0.1. */
  #isOnThisHost(peer: Uint8Array): boolean {
    if (peer.length === 4 && peer[0] === 127) return true;
    if (localAddress(this.#fd, scratch.address(LOCAL_AT)) < 0) return false;
    const local = readEndpoint(scratch.bytes, LOCAL_AT).bytes;
    return local.length === peer.length && local.every((byte, index) => byte === peer[index]);
  }

  #onError(error: number): void {
    this.lastErrno = error;
    this.#end(OWN_SHORTAGES.includes(error) ? "not-sent" : "refused");
  }

  #end(result: ProbeResult): void {
    this.#result = result;
    this.close();
  }
}
