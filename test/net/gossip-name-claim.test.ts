/** A stranger claims the name of a node without keys, and answers under it: the node logs it and goes on. */
import { afterEach, expect, test } from "bun:test";
import { loopbackPlaces, MeshCluster } from "../support/cluster/mesh-cluster.ts";
import { GOSSIP_PORT } from "../support/cluster/mesh-config.ts";
import type { MeshNode } from "../support/cluster/mesh-node.ts";
import { NameThief } from "../support/gossip/name-thief.ts";
import { waitFor } from "../support/time/wait-for.ts";

/** A node with keys gives way after a second for each question and five of grace. */
const CLAIMS = 90;

let cluster: MeshCluster | null = null;

afterEach(async () => {
  await cluster?.close();
  cluster = null;
});

function tellings(node: MeshNode): number {
  return node.log.split("\n").filter((line) => line.includes("two nodes are named n1")).length;
}

test("claimed while it runs and while it starts: both nodes stay, the log says it once a minute", async () => {
  cluster = await MeshCluster.start({
    label: "gossip-name-claim",
    places: loopbackPlaces(2),
    settings: { keys: [], isInsecure: true },
  });
  const [n1] = cluster.nodes as [MeshNode];
  // Of two addresses the greater one gives way: the stranger's is the smaller, and nobody's else on this machine.
  const host = "127.0.0.93";
  await using thief = await NameThief.start({
    name: "n1",
    host,
    victim: { host: n1.address, port: GOSSIP_PORT },
  });
  await waitFor(() => tellings(n1) > 0, { what: "n1 to log the clash" });
  await waitFor(() => thief.claims > CLAIMS, { what: "the stranger to go on for a while" });
  expect(tellings(n1)).toBe(1);
  expect(n1.log).toContain(host);
  await cluster.allAlive();

  await n1.kill();
  await n1.start();
  await cluster.allAlive();
  const earlier = thief.claims;
  await waitFor(() => thief.claims > earlier + CLAIMS / 4, { what: "the stranger to go on for a while" });
  await cluster.allAlive();
});
