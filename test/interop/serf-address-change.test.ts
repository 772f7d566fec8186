/**
 * A node of ours gets another address while it runs: agents of serf believe no live member that is somewhere else, and
 * follow all the same.
 *
 *   n1, n2 (portmesh) and n3, where s1 (serf agent) runs, in namespaces
 */
import { expect, test } from "bun:test";
import { SerfMesh } from "../support/gossip/serf-mesh.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

test.skipIf(lacks("serf") || lacksNamespaces())("serf follows a node that moves", async () => {
  const network = Namespaces.create(3);
  const [one, two, three] = network.nodes as [
    (typeof network.nodes)[0],
    (typeof network.nodes)[0],
    (typeof network.nodes)[0],
  ];
  const place = ({ address, wrapper }: typeof one, name: string) => ({ name, address, wrapper });
  let mesh: SerfMesh | null = null;
  try {
    mesh = await SerfMesh.start({
      label: "serf-address-change",
      ours: [place(one, "n1"), place(two, "n2")],
      theirs: [place(three, "s1")],
      joining: "we join them",
      settings: { clusterName: "interop", isWildcard: true, isAdvertising: false },
    });
    const [agent] = mesh.agents;
    const address = `${network.subnet}.66`;
    await two.run("ip", "address", "delete", `${two.address}/24`, "dev", "eth0");
    await two.run("ip", "address", "add", `${address}/24`, "dev", "eth0");
    await waitFor(
      async () => {
        const member = (await agent!.members()).find(({ name }) => name === "n2");
        return member?.status === "alive" && member.addr === `${address}:7946`;
      },
      { what: `s1 to see n2 at ${address}`, deadlineMs: 60_000 },
    );
    await mesh.allAlive();
    expect(mesh.cluster.node("n1").log).not.toMatch(/n2 has (failed|left)/);
  } finally {
    await mesh?.close();
    network.close();
  }
});
