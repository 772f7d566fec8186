/**
 * Forged ICMP: "fragmentation needed, MTU 552" about packets that were never sent, to both nodes, from a machine that is
 * no router. What a node uses stays as wide as it is, and relays go on.
 *
 *   clients ── bridge ──┬─ n1  entry node
 *   and forger          └─ n2  exit node, all tasks
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { OverlayMesh } from "../support/cluster/overlay-mesh.ts";
import { Pattern } from "../support/load/pattern.ts";
import { forgeTooBig } from "../support/network/icmp-forger.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { lacksTun, lacksVxlan } from "../support/overlay/overlay-devices.ts";
import { startUnderlayFilter } from "../support/overlay/underlay-filter-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const FORGED_MTU = 552;
const MEBIBYTE = 1024 * 1024;
const TIMEOUT_MS = 120_000;
const ICMP = 1;
const TCP = 6;
const UDP = 17;

describe.skipIf(lacksTun() || lacksVxlan())("forged ICMP about the packets of a mesh", () => {
  test.concurrent.each([
    { driver: "kernel", encrypt: false },
    { driver: "kernel", encrypt: true },
    { driver: "userspace", encrypt: false },
    { driver: "none", encrypt: false },
  ])(
    "does no harm to open relays and new ones: $driver, encrypt $encrypt",
    async ({ driver, encrypt }) => {
      const end = `driver = "${driver}"\nencrypt = ${encrypt}`;
      const isOverlay = driver !== "none";
      const label = `forged-icmp-${driver}-${encrypt}`;
      const mesh = await OverlayMesh.start({ label, ends: [end, end] }, isOverlay ? "overlay" : "direct");
      try {
        const { n1, n2 } = mesh;
        const mtuOf = async (node: typeof n1) => (await mesh.peerOf(node)).mtuBytes;
        if (isOverlay)
          await waitFor(async () => (await mtuOf(n1)) === 1450 && (await mtuOf(n2)) === 1450, {
            what: "the path to be known",
          });
        const open = await mesh.open();
        for (const [from, to] of [
          [n1, n2],
          [n2, n1],
        ] as const) {
          for (const protocol of [UDP, ICMP, TCP])
            forgeTooBig(FORGED_MTU, { from: from.address, to: to.address, protocol });
          if (!isOverlay) continue;
          const [inner, other] = [(await mesh.peerOf(to)).address!, (await mesh.peerOf(from)).address!];
          for (const protocol of [UDP, ICMP])
            forgeTooBig(FORGED_MTU, { from: inner, to: other, protocol, port: 4791 }, from.address);
        }
        for (const { client, task } of [open, await mesh.open()]) {
          const [there, back] = [new Pattern(1), new Pattern(2)];
          await Promise.all([
            there.send(client, MEBIBYTE),
            there.receive(task, MEBIBYTE),
            back.send(task, MEBIBYTE),
            back.receive(client, MEBIBYTE),
          ]);
        }
        for (const node of [n1, n2])
          if (isOverlay)
            expect(await mesh.peerOf(node)).toMatchObject({ path: "overlay", mtuBytes: 1450, notes: [] });
      } finally {
        await mesh.close();
      }
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(lacksNamespaces())("the filter of ICMP about other nodes", () => {
  const [OWN, OTHER, STRANGER] = ["fd97::1", "fd97::2", "fd97::3"];
  let network: Namespaces;
  let machine: NetworkNode;

  beforeAll(async () => {
    network = Namespaces.create(1);
    machine = network.nodes[0]!;
    await machine.run("ip", "address", "add", `${OWN}/64`, "dev", "eth0", "nodad");
    const address = Bun.spawn(["ip", "address", "add", "fd97::fe/64", "dev", network.uplink, "nodad"]);
    expect(await address.exited).toBe(0);
  });
  afterAll(() => network?.close());

  const mtuTo = async (address: string) =>
    Number(/ mtu (\d+)/.exec(await machine.run("ip", "route", "get", address))?.[1] ?? 1500);

  test("drops what is about them, and nothing else, until its process ends", async () => {
    const other = `${network.subnet}.2`;
    const stranger = `${network.subnet}.3`;
    const ends = [
      [machine.address, other, stranger, FORGED_MTU],
      [OWN, OTHER, STRANGER, 1280],
    ] as const;
    /** One may be lost; those about a node come first. */
    const believes = async ([from, other, stranger, mtu]: (typeof ends)[number], address: string) => {
      for (const to of [other, stranger]) forgeTooBig(mtu, { from, to });
      return (await mtuTo(address)) === mtu;
    };
    const stop = await startUnderlayFilter(machine.wrapper, [other, OTHER]);
    for (const end of ends) {
      await waitFor(() => believes(end, end[2]), { what: `ICMP about ${end[2]} to be believed` });
      expect(await mtuTo(end[1])).toBe(1500);
    }
    await stop();
    expect(await machine.run("nft", "list", "tables")).toBe("");
    const stopUnfiltered = await startUnderlayFilter(machine.wrapper, []);
    for (const end of ends)
      await waitFor(() => believes(end, end[1]), { what: `ICMP about ${end[1]} to be believed` });
    await stopUnfiltered();
  });
});
