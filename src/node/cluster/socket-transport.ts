/** The sockets of gossip: one port, UDP and TCP. */
import { DatagramSocket } from "../../sys/datagram-socket.ts";
import { dialExchange, ExchangeServer } from "../../sys/exchange.ts";
import type { GossipTransport } from "./gossip.ts";

export const socketTransport: GossipTransport = {
  listen: (options) => ExchangeServer.listen(options),
  dial: dialExchange,
  openDatagrams: (options) => DatagramSocket.open(options),
};
