/**
 * One UDP client with one socket: `bun udp-client.ts HOST PORT`. For every line on its input it asks up to TRIES times, a
 * second apart, and prints how often it had to, or 0 when there was no answer.
 */

import { waitFor } from "../time/wait-for.ts";
import { UdpPeer } from "./udp-peer.ts";

const TRIES = 8;
const [host, port] = [process.argv[2]!, Number(process.argv[3])];

if (import.meta.main) {
  const peer = await UdpPeer.open(host.includes(":") ? "::1" : "127.0.0.1");
  for await (const line of console) console.log(await ask(peer, line));
}

async function ask(peer: UdpPeer, text: string): Promise<number> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const before = peer.received.length;
    peer.send(text, port, host);
    const isAnswered = () => peer.received.length > before;
    if (await waitFor(isAnswered, { what: "an answer", deadlineMs: 1_000 }).catch(() => false)) return tries;
  }
  return 0;
}
