/**
 * Real serf agents and portmesh nodes in one cluster, as GOSSIP.md section 11 asks.
 *
 *   n1 n2 n3 (portmesh) and s1 s2 s3 (serf agent), on loopback addresses of their own
 */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { MeshNode } from "../support/cluster/mesh-node.ts";
import { recordScenario } from "../support/cluster/mesh-report.ts";
import type { SerfAgent } from "../support/gossip/serf-agent.ts";
import { SerfMesh, type SerfMeshOptions, serfPlaces } from "../support/gossip/serf-mesh.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const LABEL = "serf-mesh";
/** Each has a folder of logs. */
let meshes = 0;
const CLUSTER = "interop";
/** Gossip misses a member once in some hundred messages; a push/pull every 30 s brings it the event. */
const EVENT_DEADLINE_MS = 75_000;

async function start(
  ours: number,
  theirs: number,
  options: Partial<SerfMeshOptions> = {},
): Promise<AsyncDisposable & { mesh: SerfMesh; n: readonly MeshNode[]; s: readonly SerfAgent[] }> {
  const mesh = await SerfMesh.start({
    label: `${LABEL}/${++meshes}`,
    joining: "they join us",
    ...serfPlaces(ours, theirs),
    ...options,
    settings: { clusterName: CLUSTER, ...options.settings },
  });
  return { mesh, n: mesh.cluster.nodes, s: mesh.agents, [Symbol.asyncDispose]: () => mesh.close() };
}

function key(bytes: number): string {
  return randomBytes(bytes).toString("base64");
}

const VARIANTS: Readonly<Record<string, Partial<SerfMeshOptions>>> = {
  "plain, they join us": { joining: "they join us" },
  "plain, we join them": { joining: "we join them" },
  "plain, without compression": { joining: "we join them", agent: { extra: ["-disable-compression"] } },
  "encrypted with AES-128, they join us": { joining: "they join us", key: key(16) },
  "encrypted with AES-256, we join them": { joining: "we join them", key: key(32) },
};

describe.skipIf(lacks("serf"))("serf agents and portmesh nodes", () => {
  for (const [variant, options] of Object.entries(VARIANTS)) {
    test.concurrent(`${variant}: all see all, with tags, and events pass`, async () => {
      await using started = await start(3, 3, options);
      const { n, s } = started;
      for (const agent of s) {
        const members = await agent.members();
        for (const node of n) {
          const seen = members.find(({ name }) => name === node.name)!;
          expect(seen.addr).toBe(`${node.address}:7946`);
          expect(Object.values(seen.tags)).toContain(CLUSTER);
        }
      }
      const { members } = (await n[0]!.status()).cluster;
      expect(members.map(({ name }) => name).sort()).toEqual(["n1", "n2", "n3", "s1", "s2", "s3"]);
      await s[0]!.event("deploy", "v1");
      for (const agent of s) {
        await waitFor(() => agent.events.includes("deploy:v1"), {
          what: `the event at ${agent.name}`,
          deadlineMs: EVENT_DEADLINE_MS,
        });
      }
      // nothing brings a query to whom gossip has missed: the asker asks again
      await waitFor(
        async () => {
          const { Responses } = await s[1]!.query("who", "", { timeoutSeconds: 1 });
          return s.every(({ name }) => name in Responses);
        },
        { what: "answers from all agents to one query" },
      );
    });
  }

  test.concurrent("an agent that comes later and asks for past events hears of them from a node of ours", async () => {
    await using started = await start(2, 2);
    const { n, s } = started;
    const [teller, latecomer] = s as [SerfAgent, SerfAgent];
    await latecomer.kill();
    await teller.event("deploy", "v1");
    await teller.event("deploy", "v2");
    await waitFor(async () => (await teller.info()).event_queue === "0", { what: "the events to be sent" });
    await teller.leave();
    for (const node of n) {
      await waitFor(async () => (await node.status()).cluster.gossip.queueLengths.serf === 0, {
        what: `${node.name} to have sent them often enough`,
      });
    }
    await latecomer.restart();
    await latecomer.replay(n[0]!.address);
    await waitFor(() => latecomer.events.length === 2, { what: "the events" });
    expect(latecomer.events.sort()).toEqual(["deploy:v1", "deploy:v2"]);
  });

  test.concurrent("a node that leaves is left everywhere, comes back, crashes and is failed, comes back", async () => {
    await using started = await start(3, 3, { key: key(32) });
    const { mesh, n, s } = started;
    const [, , leaver] = n as [MeshNode, MeshNode, MeshNode];
    expect(await leaver.stop()).toBe(0);
    for (const agent of s) await agent.waitForStatus("n3", "left");
    await mesh.cluster.seenAs("n3", ["left", "gone"]);
    await leaver.start();
    await mesh.allAlive();
    await leaver.kill();
    const killedMs = performance.now();
    for (const agent of s) await agent.waitForStatus("n3", "failed");
    await mesh.cluster.seenAs("n3", ["failed"]);
    recordScenario("kill -9 among serf agents", {
      "ms until all see it failed": performance.now() - killedMs,
    });
    await leaver.start();
    await mesh.allAlive();
  });

  test.concurrent("an agent that leaves is left at ours, one that crashes failed, and both come back", async () => {
    await using started = await start(3, 3, { key: key(32) });
    const { mesh, n, s } = started;
    const [, crashing, leaving] = s as [SerfAgent, SerfAgent, SerfAgent];
    await crashing.kill();
    await mesh.cluster.seenAs("s2", ["failed"]);
    await crashing.restart();
    await crashing.join(n[1]!.address);
    await mesh.allAlive();
    await leaving.leave();
    await mesh.cluster.seenAs("s3", ["left", "gone"]);
    await s[0]!.waitForStatus("s3", "left");
    await leaving.restart();
    await leaving.join(n[2]!.address);
    await mesh.allAlive();
  });

  test.concurrent("a node that is killed is alive again within seconds of its return, same name and address", async () => {
    await using started = await start(2, 2);
    const { mesh, n } = started;
    for (let round = 0; round < 3; round++) {
      await n[1]!.kill();
      await n[1]!.start();
      await mesh.allAlive();
    }
  });

  test.concurrent("who has left comes back under its name on another address", async () => {
    await using started = await start(2, 2);
    const { mesh, n, s } = started;
    const [, mover] = n as [MeshNode, MeshNode];
    expect(await mover.stop()).toBe(0);
    for (const agent of s) await agent.waitForStatus("n2", "left");
    const address = mover.address.replace(/\d+$/, "55");
    const moved = new MeshNode({ name: "n2", address, wrapper: [] }, "");
    moved.file = mesh.cluster.fileOf(mover).replaceAll(mover.address, address);
    try {
      await moved.start();
      await mesh.cluster.seenAs("n2", ["alive"], [n[0]!]);
      for (const agent of s) await agent.waitForStatus("n2", "alive");
      for (const agent of s) {
        const seen = (await agent.members()).find(({ name }) => name === "n2");
        expect(seen?.addr).toBe(`${address}:7946`);
      }
    } finally {
      await moved.remove(`${LABEL}/moved`);
    }
  });

  test.concurrent("suspected while it stood still, a node of ours refutes and is never failed", async () => {
    await using started = await start(2, 2);
    const { mesh, n, s } = started;
    const [, still] = n as [MeshNode, MeshNode];
    await still.pause();
    const isSuspected = () => s.some((agent) => agent.log.includes("Suspect n2 has failed"));
    await waitFor(isSuspected, { what: "an agent to suspect n2" });
    still.resume();
    await mesh.allAlive();
    for (const agent of s) expect(agent.log).not.toMatch(/EventMemberFailed: n2/);
  });

  test.concurrent("suspected while it stood still, an agent refutes, and ours believe it", async () => {
    await using started = await start(2, 2);
    const { mesh, n, s } = started;
    const still = s[1]!;
    still.pause();
    await mesh.cluster.seenAs("s2", ["suspect", "failed"]);
    still.resume();
    await mesh.allAlive();
    await waitFor(() => still.log.includes("Refuting a suspect message"), { what: "the agent to refute" });
    expect(n.every((node) => node.isRunning)).toBe(true);
  });
});
