/** Another process takes over a node with an overlay: its device stays, and what crosses it goes on. */
import { afterEach, expect, test } from "bun:test";
import { OverlayMesh, PORTS } from "../support/cluster/overlay-mesh.ts";
import { UdpPeer } from "../support/load/udp-peer.ts";
import { lacksNamespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { portmesh } from "../support/node/node-process.ts";
import { waitFor } from "../support/time/wait-for.ts";

const DEVICE = "portmesh4789";
const DRIVERS = [
  ["kernel", 'driver = "kernel"\nencrypt = false'],
  ["userspace", 'driver = "userspace"\nencrypt = false'],
  ["userspace, sealed", 'driver = "userspace"\nencrypt = true'],
] as const;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function indexOf(machine: NetworkNode): Promise<number> {
  const [link] = JSON.parse(await machine.run("ip", "-j", "link", "show", DEVICE)) as { ifindex: number }[];
  return link!.ifindex;
}

test.skipIf(lacksNamespaces()).each(DRIVERS)("%s", async (label, lines) => {
  const mesh = await OverlayMesh.start({ label: `handover ${label}`, ends: [lines, lines] }, "overlay");
  closers.push(async () => {
    for (const node of [mesh.n1, mesh.n2]) {
      const { pid } = await node.status();
      if (pid !== node.pid) process.kill(pid, "SIGKILL");
    }
    await mesh.close();
  });
  const client = await UdpPeer.open(mesh.network.outside);
  closers.push(() => client.close());
  const ask = (text: string) =>
    waitFor(
      () => {
        client.send(text, PORTS.echo, mesh.n1.address);
        return client.texts.includes(text);
      },
      { what: `the answer to ${text}`, deadlineMs: 20_000 },
    );
  await ask("before");
  for (const [index, node] of [mesh.n2, mesh.n1].entries()) {
    const machine = mesh.network.nodes[index === 0 ? 1 : 0]!;
    const before = await indexOf(machine);
    expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await indexOf(machine)).toBe(before);
    await ask(`after ${node.name}`);
    await mesh.reaches("overlay", [mesh.n1, mesh.n2]);
    expect(await indexOf(machine)).toBe(before);
  }
});
