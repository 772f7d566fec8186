/**
 * Serf agents and portmesh nodes on a network with holes.
 *
 *   s1 ──x── s2      agents that cannot reach each other directly
 *    \      /
 *   n1 n2 n3         nodes of ours that both can reach
 */
import { afterAll, describe, expect, test } from "bun:test";
import { newKey } from "../support/cluster/mesh-cluster.ts";
import type { MeshPlace } from "../support/cluster/mesh-node.ts";
import type { SerfAgent } from "../support/gossip/serf-agent.ts";
import { SerfMesh } from "../support/gossip/serf-mesh.ts";
import { lacksNamespaces, Namespaces } from "../support/network/namespaces.ts";
import type { NetworkNode } from "../support/network/network-node.ts";
import { lacks } from "../support/os/require-program.ts";
import { waitFor } from "../support/time/wait-for.ts";

const OURS = 3;
const THEIRS = 2;
/** A warning comes from each probe of the node, which is one in some seconds. */
const PROBES_DEADLINE_MS = 60_000;
/** Gossip misses a member once in some hundred messages; a push/pull every 30 s brings it the event. */
const EVENT_DEADLINE_MS = 75_000;

interface Started extends AsyncDisposable {
  readonly mesh: SerfMesh;
  readonly machines: readonly NetworkNode[];
  readonly s1: SerfAgent;
  readonly s2: SerfAgent;
}

async function start(): Promise<Started> {
  await using opened = new AsyncDisposableStack();
  const network = opened.adopt(Namespaces.create(OURS + THEIRS), (created) => created.close());
  const machines = network.nodes;
  const places = machines.map(({ address, wrapper }, index): MeshPlace => {
    return { name: index < OURS ? `n${index + 1}` : `s${index - OURS + 1}`, address, wrapper };
  });
  const mesh = await SerfMesh.start({
    label: "serf-faults",
    ours: places.slice(0, OURS),
    theirs: places.slice(OURS),
    key: newKey(),
    joining: "they join us",
  });
  opened.defer(() => mesh.close());
  const [s1, s2] = mesh.agents as [SerfAgent, SerfAgent];
  const kept = opened.move();
  return { mesh, machines, s1, s2, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

describe.skipIf(lacksNamespaces() || lacks("serf"))("on a network with holes", () => {
  afterAll(() => expect(Namespaces.leftovers()).toEqual([]));

  test.concurrent("events and queries pass our nodes between agents that do not reach each other", async () => {
    await using started = await start();
    const { machines, s1, s2 } = started;
    await machines[OURS]!.cut("both", [s2.address]);
    await s1.event("deploy", "v1");
    await waitFor(() => s2.events.includes("deploy:v1"), {
      what: "the event",
      deadlineMs: EVENT_DEADLINE_MS,
    });
    await s2.event("deploy", "v2");
    await waitFor(() => s1.events.includes("deploy:v2"), {
      what: "the event back",
      deadlineMs: EVENT_DEADLINE_MS,
    });
    // nothing brings a query to whom gossip has missed: the asker asks again
    await waitFor(
      async () => {
        await s1.query("who", "", { timeoutSeconds: 1 });
        return s2.log.includes("Received event: query: who");
      },
      { what: "the query" },
    );
  });

  test.concurrent("agents that do not reach each other stay alive: our nodes probe for them", async () => {
    await using started = await start();
    const { mesh, machines, s1, s2 } = started;
    await machines[OURS]!.cut("both", [s2.address]);
    const isProbed = (log: string, name: string) => log.split(`Failed ping: ${name} (`).length > 3;
    await waitFor(() => isProbed(s1.log, "s2"), { what: "failed pings", deadlineMs: PROBES_DEADLINE_MS });
    await mesh.allAlive();
    expect(s1.log).not.toContain("EventMemberFailed: s2");
    expect(s2.log).not.toContain("EventMemberFailed: s1");
    expect((await s1.info()).health_score).toBe("0"); // our nacks came in time
  });

  test.concurrent("a node of ours whose UDP is muted is pinged over TCP and stays alive", async () => {
    await using started = await start();
    const { mesh, machines, s1, s2 } = started;
    await machines[0]!.cut("both", [], { protocol: "udp" });
    const warning = "Was able to connect to n1 but other probes failed";
    await waitFor(() => [s1, s2].some((agent) => agent.log.split(warning).length > 2), {
      what: "agents to warn about n1",
      deadlineMs: PROBES_DEADLINE_MS,
    });
    await machines[0]!.heal();
    await mesh.allAlive();
    for (const agent of [s1, s2]) expect(agent.log).not.toContain("EventMemberFailed: n1");
  });

  test.concurrent("an agent whose UDP is muted is pinged over TCP by ours and stays alive", async () => {
    await using started = await start();
    const { mesh, machines, s2 } = started;
    await machines[OURS]!.cut("both", [], { protocol: "udp" });
    const warning = "Was able to connect to s1 but other probes failed";
    await waitFor(() => s2.log.split(warning).length > 2, {
      what: "the other agent to warn about s1",
      deadlineMs: PROBES_DEADLINE_MS,
    });
    for (const node of mesh.cluster.nodes) {
      const { members } = (await node.status()).cluster;
      expect(members.find(({ name }) => name === "s1")?.state).toBe("alive");
    }
  });
});
