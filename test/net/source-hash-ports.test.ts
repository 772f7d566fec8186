/**
 * A client of source-hash meets one task on every port of a service, TCP and UDP: FTP with its data ports, SIP with RTP,
 * RADIUS with accounting.
 *
 *   127.0.1.1..80, one client each ──▶ two TCP ports, one UDP port ──▶ four tasks at 127.0.2.1..4
 */
import { afterEach, expect, test } from "bun:test";
import { request } from "../support/load/http-load.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { freePorts, freeQuietPort } from "../support/os/free-port.ts";
import { ProxyHarness } from "../support/proxy/proxy-harness.ts";

const CLIENTS = Array.from({ length: 80 }, (_, index) => `127.0.1.${index + 1}`);
const TASKS = ["127.0.2.1", "127.0.2.2", "127.0.2.3", "127.0.2.4"];

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function startWeb(hostname: string, port: number): void {
  const server = Bun.serve({ hostname, port, fetch: () => new Response(hostname) });
  cleanUps.push(() => server.stop(true));
}

async function startEcho(address: string, port: number): Promise<void> {
  const task = await UdpPeer.open(address, port);
  task.onDatagram = ({ from }) => task.send(address, from.port, from.address);
  cleanUps.push(() => task.close());
}

async function askOverUdp(address: string, published: number): Promise<string> {
  const client = await UdpPeer.open(address);
  cleanUps.push(() => client.close());
  return (await client.ask("which task?", published)).data.toString();
}

test("80 of 80 clients meet the same task on three ports, and tasks get clients by weight", async () => {
  const [control, data] = (await freePorts(2)) as [number, number];
  const [controlTarget, dataTarget, media] = [
    await freeQuietPort(),
    await freeQuietPort(),
    await freeQuietPort(),
  ];
  for (const address of TASKS) {
    startWeb(address, controlTarget);
    startWeb(address, dataTarget);
    await startEcho(address, media);
  }
  const harness = await ProxyHarness.start(2);
  cleanUps.push(() => harness.stop());
  const udpPort = await freeQuietPort();
  await harness.apply({
    protocol: "tcp",
    published: control,
    balance: "source-hash",
    ports: [
      { protocol: "tcp", published: control, target: controlTarget, mode: "ingress" },
      { protocol: "tcp", published: data, target: dataTarget, mode: "ingress" },
      { protocol: "udp", published: udpPort, target: media, mode: "ingress" },
    ],
    tasks: TASKS.map((address, index) => ({ address, weight: index === 0 ? 16 : 1 })),
  });
  const overTcp = (port: number) =>
    Promise.all(
      CLIENTS.map((localAddress) => request("127.0.0.1", port, { localAddress }).then(({ body }) => body!)),
    );

  const onControl = await overTcp(control);
  expect(await overTcp(data)).toEqual(onControl);
  expect(await Promise.all(CLIENTS.map((address) => askOverUdp(address, udpPort)))).toEqual(onControl);

  expect(new Set(onControl)).toEqual(new Set(TASKS));
  // 16 of 19 shares are 67 clients; fewer than 50 have a chance below 1e-5
  expect(onControl.filter((task) => task === TASKS[0]).length).toBeGreaterThanOrEqual(50);
});
