/** The sockets that gossip uses, one port of UDP and TCP, behind an interface: tests connect nodes in memory. */
import { DatagramSocket, type DatagramSocketOptions } from "../../sys/datagram-socket.ts";
import { type DialOptions, dialExchange, ExchangeServer, type ListenOptions } from "../../sys/exchange.ts";

/** `listen` and `openDatagrams` reject with the error of the system. */
export interface GossipTransport {
  readonly listen: (options: ListenOptions) => Promise<Pick<ExchangeServer, "fd" | "close" | "duplicate">>;
  readonly dial: (options: DialOptions) => Promise<{ readonly error: string | null }>;
  readonly openDatagrams: (options: DatagramSocketOptions) => Promise<GossipDatagrams>;
}

export type GossipDatagrams = Pick<DatagramSocket, "fd" | "send" | "sendFrom" | "duplicate" | "close">;

export const socketTransport: GossipTransport = {
  listen: (options) => ExchangeServer.listen(options),
  dial: dialExchange,
  openDatagrams: (options) => DatagramSocket.open(options),
};
