/**
 * Echo tasks and many UDP clients in one process: `bun udp-clients.ts PUBLISHED FIRST_TASK TASKS COUNT REGULARS NODES`. Each of
 * COUNT clients asks once, from an address of its own, and stays until the end; REGULARS ask again after every hundred
 * of them; they are spread over NODES ports from PUBLISHED on. Prints who was answered, what source ports the tasks saw, and how many ports are left for another program.
 */

import { waitFor } from "../time/wait-for.ts";
import { UdpPeer } from "./udp-peer.ts";

const [published, firstTask, taskCount, count, regularCount, nodes] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const WIDTH = 100;
/** As resolvers do, a client asks once more. */
const deadlineMs = 1_500;
const MAX_PROBES = 200;
/** Below every local port range of a test. */
const FIRST_PORT = 10_000;

const tasks = await Promise.all(
  Array.from({ length: taskCount }, async (_, index) => {
    const task = await UdpPeer.open("127.0.0.1", firstTask + index);
    task.onDatagram = ({ data, from }) => task.send(data, from.port, from.address);
    return task;
  }),
);

function client(network: number, index: number): Promise<UdpPeer> {
  return UdpPeer.open(`127.${network}.${1 + (index >> 8)}.${index & 255}`, FIRST_PORT);
}

/** The ports that the tasks see it come from are the same each time. */
const regulars = await Promise.all(Array.from({ length: regularCount }, (_, index) => client(9, index)));
const portsOf = new Map(regulars.map((peer) => [peer, new Set<number>()]));

async function askRegulars(): Promise<void> {
  for (const [index, peer] of regulars.entries()) {
    const text = `regular ${index}`;
    await peer.ask(text, published);
    const seen = tasks.flatMap(({ received }) => received).findLast(({ data }) => data.toString() === text)!;
    portsOf.get(peer)!.add(seen.from.port);
  }
}

await askRegulars();
await askRegulars();
let answered = 0;
for (let first = 0; first < count; first += WIDTH) {
  const peers = await Promise.all(Array.from({ length: WIDTH }, (_, index) => client(8, first + index)));
  for (const [index, peer] of peers.entries())
    peer.send(`client ${first + index}`, published + (index % nodes));
  await waitFor(() => peers.every(({ received }) => received.length > 0), {
    what: "answers",
    deadlineMs,
  }).catch(() => {
    for (const [index, peer] of peers.entries())
      if (peer.received.length === 0) peer.send(`again ${first + index}`, published + (index % nodes));
  });
  await waitFor(() => peers.every(({ received }) => received.length > 0), {
    what: "answers",
    deadlineMs,
  }).catch(() => {});
  answered += peers.filter(({ received }) => received.length > 0).length;
  for (const peer of peers) peer.close();
  await askRegulars();
}

const probes: UdpPeer[] = [];
while (probes.length < MAX_PROBES) {
  const probe = await UdpPeer.open("127.0.0.1", 0).catch(() => null);
  if (probe === null) break;
  probes.push(probe);
}

const ports = tasks.map(({ received }) =>
  received.filter(({ data }) => data.toString().startsWith("client")).map(({ from }) => from.port),
);
const kept = regulars.map((peer) => portsOf.get(peer)!.size === 1);
console.log(JSON.stringify({ answered, ports, regulars: kept, freePorts: probes.length }));
process.exit(0);
