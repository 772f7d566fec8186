/**
 * Path MTU black holes: from some moment on packets of more than 1,280 bytes vanish between the nodes, without ICMP, in
 * one direction, then in the other. Relays that are open go on, new ones begin, and both nodes know their own direction.
 *
 *   client ──▶ n1 entry node ══ 1,280 bytes, first there, then back ══ n2 exit node ──▶ task
 */
import { describe, expect, test } from "bun:test";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import type { RawSocket } from "../support/os/raw-socket.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { waitFor } from "../support/time/wait-for.ts";

const PATH_BYTES = 1280;
/** A node that probes a path in use once a second notices in 2 s; one that does not took half a minute. */
const NOTICE_DEADLINE_MS = 12_000;
/** The kernel's own search for black holes begins 3 s after the first loss. */
const ARRIVAL_DEADLINE_MS = 20_000;
const TIMEOUT_MS = 120_000;
const PIECE_BYTES = 3000;
const PIECES = 10;
const DATAGRAM_BYTES = 4000;
const ASK_AGAIN_MS = 500;
const MTU_PROBING = "net.ipv4.tcp_mtu_probing";

const PATHS = [
  { driver: "kernel", encrypt: false },
  { driver: "userspace", encrypt: false },
  { driver: "userspace", encrypt: true },
  { driver: "none", encrypt: false },
  { driver: "none", encrypt: true },
] as const;

describe.skipIf(lacksTun() || lacksVxlan())("a path that drops large packets without a word", () => {
  test.concurrent.each(PATHS)(
    "is noticed at both ends, and relays go on: $driver, encrypt $encrypt",
    async ({ driver, encrypt }) => {
      const end = `driver = "${driver}"\nencrypt = ${encrypt}`;
      const isOverlay = driver !== "none";
      const label = `black-hole-${driver}-${encrypt}`;
      const mesh = await OverlayMesh.start({ label, ends: [end, end] }, isOverlay ? "overlay" : "direct");
      try {
        const { n1, n2, network } = mesh;
        const [entry, exit] = network.nodes as [(typeof network.nodes)[0], (typeof network.nodes)[0]];
        const [there, back] = [await mesh.open(), await mesh.open()];
        if (isOverlay) for (const node of [n1, n2]) await knows(mesh, node, (mtu) => mtu > PATH_BYTES);

        await entry.narrow(PATH_BYTES, [n2.address]);
        await carries(there.client, there.task);
        if (isOverlay) await knows(mesh, n1, (mtu) => mtu < PATH_BYTES);

        await exit.narrow(PATH_BYTES, [n1.address]);
        await carries(back.task, back.client);
        if (isOverlay) await knows(mesh, n2, (mtu) => mtu < PATH_BYTES);

        const { client, task } = await mesh.open();
        await Promise.all([carries(client, task), carries(task, client)]);
        await answers(mesh);
      } finally {
        await mesh.close();
      }
    },
    TIMEOUT_MS,
  );

  test("of a network namespace the setting for that is as before when the node has ended", async () => {
    const end = 'driver = "none"\nencrypt = false';
    const mesh = await OverlayMesh.start({ label: "black-hole-setting", ends: [end, end] }, "direct");
    try {
      const machine = mesh.network.nodes[0]!;
      expect((await machine.run("sysctl", "-n", MTU_PROBING)).trim()).toBe("1");
      await mesh.n1.stop();
      expect((await machine.run("sysctl", "-n", MTU_PROBING)).trim()).toBe("0");
    } finally {
      await mesh.close();
    }
  });
});

async function knows(
  mesh: OverlayMesh,
  node: OverlayMesh["n1"],
  isRight: (mtuBytes: number) => boolean,
): Promise<void> {
  await waitFor(async () => isRight((await mesh.peerOf(node)).mtuBytes ?? 0), {
    what: `${node.name} to know the path`,
    deadlineMs: NOTICE_DEADLINE_MS,
  });
}

async function carries(from: RawSocket, to: RawSocket): Promise<void> {
  for (let piece = 0; piece < PIECES; piece++) await from.send(Buffer.alloc(PIECE_BYTES, piece));
  for (let received = 0; received < PIECES * PIECE_BYTES; ) {
    expect(await to.becomesReadable(ARRIVAL_DEADLINE_MS)).toBe(true);
    const { length } = await to.receive();
    expect(length).toBeGreaterThan(0);
    received += length;
  }
}

/** Datagrams that do not fit are cut, whichever way they go, once the first ones are lost. */
async function answers(mesh: OverlayMesh): Promise<void> {
  const client = await UdpPeer.open(mesh.network.outside);
  const datagram = Buffer.from(Array.from({ length: DATAGRAM_BYTES }, (_, index) => index % 251));
  const ask = () => client.send(datagram, PORTS.echo, mesh.n1.address);
  ask();
  const asking = setInterval(ask, ASK_AGAIN_MS);
  try {
    const { data } = await waitFor(() => client.received[0], {
      what: "an answer",
      deadlineMs: ARRIVAL_DEADLINE_MS,
    });
    expect(data.equals(datagram)).toBe(true);
  } finally {
    clearInterval(asking);
    client.close();
  }
}
