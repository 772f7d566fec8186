/** TCP keepalive on both sides of a connection: a peer that has vanished is noticed after two minutes. */
import { type TcpSockets, tcpSockets } from "../../sys/tcp-sockets.ts";

const IDLE_SEC = 60;
const INTERVAL_SEC = 15;
const COUNT = 4;

/** On a listening socket it is inherited by what is accepted. */
export function keepAlive(fd: number, sockets: Pick<TcpSockets, "setKeepAlive"> = tcpSockets): void {
  sockets.setKeepAlive(fd, IDLE_SEC, INTERVAL_SEC, COUNT);
}
