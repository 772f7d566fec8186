/**
 * The echo exchange on a UDP socket of the overlay address: how a node with a kernel VXLAN device, or with plain VXLAN
 * in user space, knows its paths. It runs on the main thread: a few datagrams a second.
 *
 * The socket ignores the MTU of routes (IP_PMTUDISC_PROBE), so routes to peers can carry their MTU while larger probes
 * still leave; the device's MTU is the ceiling. What carries the inner packets must not fragment them: a kernel VXLAN
 * device needs `df set` or `df inherit`. Its outer packets obey what ICMP has told the kernel of the underlay, where that is
 * not filtered (kernel/icmp-filter.ts): then a path that became narrow and wide again is found wide when the kernel has
 * forgotten that: net.ipv4.route.mtu_expires, ten minutes. Without ICMP the raise timer finds it.
 */
import { type Clock, steadyClock } from "../../sys/clock.ts";
import { DatagramSocket } from "../../sys/datagram-socket.ts";
import { randomBytes } from "../../sys/random.ts";
import { RUN_BYTES } from "./echo.ts";
import { type EchoCounts, EchoExchange, type EchoExchangeOptions } from "./echo-exchange.ts";
import type { EchoHeard, EchoPeerEnd, PathReport } from "./echo-peer.ts";

export interface EchoServiceOptions
  extends Pick<EchoExchangeOptions, "address" | "deviceMtu" | "random" | "onChange"> {
  /** UDP; `echoPort` of this node's overlay port. */
  readonly port: number;
  /** The steady one by default. */
  readonly clock?: Clock;
}

export class EchoService {
  readonly #exchange: EchoExchange;
  readonly #socket: DatagramSocket;

  private constructor(exchange: EchoExchange, socket: DatagramSocket) {
    this.#exchange = exchange;
    this.#socket = socket;
  }

  /** The address has to be this machine's already. Rejects with the error of the system when it cannot be had. */
  static async open({ port, clock = steadyClock, ...options }: EchoServiceOptions): Promise<EchoService> {
    let exchange: EchoExchange | null = null;
    const socket = await DatagramSocket.open({
      host: options.address,
      port,
      isProbing: true,
      onDatagram: (datagram) => exchange?.onDatagram(datagram),
    });
    exchange = new EchoExchange({
      ...options,
      clock,
      run: randomBytes(RUN_BYTES),
      send: (bytes, host, toPort) => socket.sendWhole(bytes, host, toPort),
    });
    return new EchoService(exchange, socket);
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

  /** One more probe; `heard` tells of the answer. */
  probe(peerName: string): void {
    this.#exchange.probe(peerName);
  }

  close(): void {
    this.#exchange.close();
    this.#socket.close();
  }
}
