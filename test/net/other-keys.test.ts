/** Two nodes whose keys differ: doctor says so on both, instead of sending the operator to the firewall. */
import { afterEach, test } from "bun:test";
import { loopbackPlaces, MeshCluster, newKey } from "../support/cluster/mesh-cluster.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";

let cluster: MeshCluster | null = null;
afterEach(() => cluster?.close());

test("doctor reports a rotation that only one of two nodes has carried out", async () => {
  cluster = await MeshCluster.start({
    label: "other-keys",
    places: loopbackPlaces(2),
    settings: { profile: "local" },
  });
  const [n1, n2] = cluster.nodes as [MeshNode, MeshNode];
  await n1.reload(cluster.fileOf(n1, { keys: [newKey()] }));
  for (const [node, other] of [
    [n1, n2],
    [n2, n1],
  ] as const) {
    const said = `${other.address} encrypts gossip with a key that this node does not have`;
    await cluster.waitFor(
      async () => {
        const { stdout, exitCode } = await node.command("doctor", "--json");
        return exitCode === 1 && stdout.includes(said) && !stdout.includes("open the gossip port");
      },
      { what: `doctor on ${node.name} to tell that ${other.name} has another key` },
    );
  }
});
