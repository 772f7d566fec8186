/** A cluster of both kinds: nodes of ours, and agents of serf, on addresses of one subnet or in namespaces. */
import { loopbackSubnet, MeshCluster } from "../cluster/mesh-cluster.ts";
import type { MeshSettings } from "../cluster/mesh-config.ts";
import type { MeshPlace } from "../cluster/mesh-node.ts";
import { SerfAgent, type SerfOptions } from "./serf-agent.ts";

export interface SerfMeshOptions {
  readonly label: string;
  /** Ours, then theirs; see serfPlaces. */
  readonly ours: readonly MeshPlace[];
  readonly theirs: readonly MeshPlace[];
  readonly settings?: Partial<MeshSettings>;
  /** Base64; absent: not encrypted. */
  readonly key?: string;
  readonly agent?: Partial<SerfOptions>;
  /** Who asks whom. */
  readonly joining: "we join them" | "they join us";
}

/** Ours n1, n2, … on .1, .2, …; theirs s1, s2, … on .101, .102, … of one loopback subnet. */
export function serfPlaces(ours: number, theirs: number): Pick<SerfMeshOptions, "ours" | "theirs"> {
  const subnet = loopbackSubnet();
  const places = (count: number, prefix: string, first: number) =>
    Array.from({ length: count }, (_, index) => ({
      name: `${prefix}${index + 1}`,
      address: `${subnet}.${first + index}`,
      wrapper: [],
    }));
  return { ours: places(ours, "n", 1), theirs: places(theirs, "s", 101) };
}

export class SerfMesh {
  private constructor(
    readonly options: SerfMeshOptions,
    readonly cluster: MeshCluster,
    readonly agents: readonly SerfAgent[],
  ) {}

  /** Resolves when everybody sees everybody alive. */
  static async start(options: SerfMeshOptions): Promise<SerfMesh> {
    const { label, ours, theirs, key, joining } = options;
    const seed = joining === "we join them" ? theirs[0]! : ours[0]!;
    const cluster = MeshCluster.prepare({
      label,
      places: ours,
      join: [seed.address],
      settings: { keys: key === undefined ? [] : [key], isInsecure: key === undefined, ...options.settings },
    });
    const agents: SerfAgent[] = [];
    const mesh = new SerfMesh(options, cluster, agents);
    try {
      for (const place of theirs) agents.push(await SerfAgent.start(agentOptions(place, options)));
      await Promise.all(cluster.nodes.map((node) => node.start()));
      for (const agent of agents) if (agent.address !== seed.address) await agent.join(seed.address);
      await mesh.allAlive();
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  get names(): string[] {
    return [...this.cluster.nodes, ...this.agents].map(({ name }) => name).sort();
  }

  /** Waits until everybody sees exactly these alive; all by default. */
  async allAlive(names: readonly string[] = this.names): Promise<void> {
    for (const agent of this.agents) if (names.includes(agent.name)) await agent.waitForAlive(names);
    const wanted = [...names].sort().join();
    await this.cluster.waitFor(
      async () => {
        const nodes = this.cluster.running.filter(({ name }) => names.includes(name));
        const statuses = await Promise.all(nodes.map((node) => node.status()));
        return statuses.every(({ cluster }) => {
          const alive = cluster.members.filter(({ state }) => state === "alive");
          return (
            alive
              .map(({ name }) => name)
              .sort()
              .join() === wanted
          );
        });
      },
      { what: `our nodes to see ${wanted} alive` },
    );
  }

  async close(): Promise<void> {
    await this.cluster.close();
    await Promise.all(this.agents.map((agent) => agent.remove(this.options.label)));
  }
}

function agentOptions(place: MeshPlace, { key, agent, settings }: SerfMeshOptions): SerfOptions {
  return {
    ...place,
    tags: { role: `role-of-${place.name}` },
    profile: settings?.profile ?? "lan",
    ...(key !== undefined && { key }),
    ...agent,
  };
}
