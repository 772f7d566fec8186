/** A task behind a UDP port: answers DNS queries, sends everything else back as it came. */
import { answerDns } from "./dns-answer.ts";

/** @param name what the task calls itself */
export async function startDnsTask(name: string, hostname = "127.0.0.1"): Promise<{ port: number }> {
  const { port } = await Bun.udpSocket({
    hostname,
    port: 0,
    socket: {
      data(socket, datagram, clientPort, clientAddress) {
        socket.send(answerDns(datagram, name) ?? datagram, clientPort, clientAddress);
      },
      error: () => undefined, // a client that has gone (ICMP port unreachable) is none of the others' business
    },
  });
  return { port };
}
