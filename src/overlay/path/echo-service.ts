/**
 * The echo exchange on a UDP socket of the overlay address: how a node with a kernel VXLAN device, or with plain VXLAN
 * in user space, knows its paths. It runs on the main thread: a few datagrams a second.
 *
 * The device's MTU is the ceiling of what is probed. What carries the inner packets must not fragment them: a kernel VXLAN
 * device needs `df set` or `df inherit`. Its outer packets obey the path MTU that the kernel learned from ICMP, where that is
 * not filtered (kernel/underlay-filter.ts): then a path that became narrow and wide again is found wide when the kernel has
 * forgotten that: net.ipv4.route.mtu_expires, ten minutes. Without ICMP the raise timer finds it.
 */
import { type Clock, steadyClock } from "../../sys/clock.ts";
import { randomBytes } from "../../sys/random.ts";
import { RUN_BYTES } from "./echo.ts";
import { type EchoCounts, EchoExchange, type EchoExchangeOptions } from "./echo-exchange.ts";
import type { EchoHeard, EchoPeerEnd, PathReport } from "./echo-peer.ts";
import type { EchoSocket } from "./echo-socket.ts";

export interface EchoServiceOptions
  extends Pick<EchoExchangeOptions, "address" | "deviceMtu" | "random" | "onChange"> {
  /** Of that address. */
  readonly socket: EchoSocket;
  /** The steady one by default. */
  readonly clock?: Clock;
}

export class EchoService {
  readonly #exchange: EchoExchange;
  readonly #socket: EchoSocket;

  constructor({ socket, clock = steadyClock, ...options }: EchoServiceOptions) {
    this.#socket = socket;
    this.#exchange = new EchoExchange({
      ...options,
      clock,
      run: randomBytes(RUN_BYTES),
      send: (bytes, host, toPort) => socket.send(bytes, host, toPort),
    });
    socket.receive((datagram) => this.#exchange.onDatagram(datagram));
  }

  get counts(): Readonly<EchoCounts> {
    return this.#exchange.counts;
  }

  /** Replaces all peers. Those that stay keep what is known of their paths. */
  setPeers(peers: readonly EchoPeerEnd[]): void {
    this.#exchange.setPeers(peers);
  }

  /** Peers, by name, that this node relays to. They, and those that relay to this node, are probed often. */
  setActive(names: ReadonlySet<string>): void {
    this.#exchange.setActive(names);
  }

  /** The overlay device's own MTU has changed. */
  setDeviceMtu(mtu: number): void {
    this.#exchange.setDeviceMtu(mtu);
  }

  /** null: no such peer. */
  report(peerName: string): PathReport | null {
    return this.#exchange.report(peerName);
  }

  /** In the time of its clock; null: no such peer. */
  heard(peerName: string): EchoHeard | null {
    return this.#exchange.heard(peerName);
  }

  /** One more probe; `heard` shows the reply. */
  probe(peerName: string): void {
    this.#exchange.probe(peerName);
  }

  /** The socket stays open. */
  close(): void {
    this.#exchange.close();
    this.#socket.ignore();
  }
}
