/**
 * Another process takes over a node of ours: to an agent of serf nothing has happened.
 *
 *   n1 (portmesh, upgraded) and s1 (serf agent), on loopback addresses of their own
 */
import { afterEach, expect, test } from "bun:test";
import { SerfMesh, serfPlaces } from "../support/gossip/serf-mesh.ts";
import { portmesh } from "../support/node/node-process.ts";
import { lacks } from "../support/os/require-program.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test.skipIf(lacks("serf"))("serf sees no event of a node that is upgraded", async () => {
  const mesh = await SerfMesh.start({
    label: "serf-handover",
    joining: "they join us",
    ...serfPlaces(1, 1),
    settings: { clusterName: "interop" },
  });
  const [node, agent] = [mesh.cluster.nodes[0]!, mesh.agents[0]!];
  closers.push(async () => {
    const { pid } = await node.status();
    if (pid !== node.pid) process.kill(pid, "SIGKILL");
    await mesh.close();
  });
  const before = agent.log.length;
  expect(agent.log).toContain("EventMemberJoin: n1");
  for (let upgrades = 0; upgrades < 2; upgrades++)
    expect(await portmesh("upgrade", "--socket", node.socket)).toMatchObject({ exitCode: 0, stderr: "" });
  await agent.event("deploy", "after the upgrades");
  await mesh.allAlive();
  expect(
    agent.log
      .slice(before)
      .split("\n")
      .filter((line) => /EventMember|Suspect|Refut/.test(line)),
  ).toEqual([]);
});
