/**
 * Two nodes with an overlay between them. All tasks are n2's, all clients come to n1, so everything crosses it.
 *
 *   clients ── bridge ──┬─ n1  entry node           tasks are sockets of the test process, which n2 reaches
 *      and tasks        └─ n2  exit node            over the bridge
 */
import type { OverlayPeerStatus } from "../../../src/node/index.ts";
import { UdpPeer } from "../load/udp-peer.ts";
import { startWebTask, type WebTask } from "../load/web-task.ts";
import { Namespaces } from "../network/namespaces.ts";
import { RawListener, RawSocket } from "../os/raw-socket.ts";
import { waitFor } from "../time/wait-for.ts";
import { MeshCluster, namespacePlaces } from "./mesh-cluster.ts";
import { type MeshSettings, RELAY_PORT, serviceFile } from "./mesh-config.ts";
import type { MeshNode } from "./mesh-node.ts";

export const PORTS = { stream: 8080, echo: 5300, web: 8081 } as const;
const WEB_TASK_PORT = 9100;

export interface OverlayMeshOptions {
  readonly label: string;
  /** Lines of [overlay]: of n1, of n2. */
  readonly ends: readonly [string, string];
  readonly settings?: Partial<MeshSettings>;
  /** How many nodes there are; those beyond the second have the end of n2. */
  readonly nodes?: number;
  /** How many machines the network has: those beyond the nodes have none. */
  readonly machines?: number;
  /** Name of a node that hears of the others only once all of them run. */
  readonly latecomer?: string;
}

export class OverlayMesh {
  private constructor(
    readonly network: Namespaces,
    readonly cluster: MeshCluster,
    readonly listener: RawListener,
    readonly echo: UdpPeer,
    readonly web: WebTask,
  ) {}

  /** Resolves when n1 reaches n2 as they should, over the overlay or directly, and its ports are open. */
  static async start(
    { label, ends, settings = {}, nodes = 2, machines = nodes, latecomer }: OverlayMeshOptions,
    path: OverlayPeerStatus["path"],
  ): Promise<OverlayMesh> {
    const network = Namespaces.create(machines);
    const closers: (() => unknown)[] = [() => network.close()];
    try {
      const { outside } = network;
      const listener = RawListener.open({ at: outside });
      closers.push(() => listener.close());
      const echo = await UdpPeer.task((data) => data, outside);
      closers.push(() => echo.close());
      const web = await startWebTask("n2", WEB_TASK_PORT, { address: outside });
      closers.push(() => web.kill());
      const tasks = {
        stream: `${outside}:${listener.port}`,
        echo: `${outside}:${echo.port}`,
        web: `${outside}:${web.port}`,
      };
      const apart = network.nodes.find(({ name }) => name === latecomer);
      await apart?.cut("both", [network.everyNode]);
      const cluster = await MeshCluster.start({
        label: `overlay-mesh/${label}`,
        places: namespacePlaces(network).slice(0, nodes),
        settings,
        overlay: (_, index) => ends[index] ?? ends[1],
        services: ({ name }) => servicesFile(name === "n2" ? tasks : null),
        onStarted: async () => apart?.heal(),
      });
      closers.push(() => cluster.close());
      const mesh = new OverlayMesh(network, cluster, listener, echo, web);
      await mesh.reaches(path);
      await mesh.isServed();
      return mesh;
    } catch (error) {
      for (const close of closers.reverse()) await close();
      throw error;
    }
  }

  get n1(): MeshNode {
    return this.cluster.node("n1");
  }

  get n2(): MeshNode {
    return this.cluster.node("n2");
  }

  /** Waits until both nodes reach each other like this. */
  async reaches(
    path: OverlayPeerStatus["path"],
    nodes: readonly MeshNode[] = this.cluster.running,
  ): Promise<void> {
    await this.cluster.waitFor(
      async () => {
        const peers = await Promise.all(nodes.map(async (node) => (await node.status()).overlay!.peers));
        return peers.every((others) => others.length > 0 && others.every((peer) => peer.path === path));
      },
      { what: `the nodes to reach each other: ${path}` },
    );
  }

  /** Waits until n1 has a way to all tasks. */
  async isServed(): Promise<void> {
    const isOpen = async () => {
      const { services } = (await this.n1.status()).proxy;
      return services.every(({ ports }) => ports.every(({ isClosed }) => isClosed !== true));
    };
    await this.cluster.waitFor(isOpen, { what: "n1 to open its ports" });
  }

  /** Waits until each has heard everything the other has sent: what is cut off then waits, and repeats nothing. */
  async allSent(): Promise<void> {
    const sent = ["-Htn", "state", "established", `( sport = :${RELAY_PORT} or dport = :${RELAY_PORT} )`];
    await waitFor(
      async () => {
        const tables = await Promise.all(this.network.nodes.map((machine) => machine.run("ss", ...sent)));
        // Recv-Q, Send-Q, …; a node without a connection has a row without columns
        const rows = tables.flatMap((table) => table.trim().split("\n"));
        return rows.every((row) => row.trim().split(/\s+/)[1] === "0");
      },
      { what: "the relays to have sent everything" },
    );
  }

  /** What a node says of the other. */
  async peerOf(node: MeshNode): Promise<OverlayPeerStatus> {
    return (await node.status()).overlay!.peers[0]!;
  }

  /** A client's connection at n1 and the task's end of it. */
  async open(): Promise<{ readonly client: RawSocket; readonly task: RawSocket }> {
    const client = await RawSocket.connect(PORTS.stream, { to: this.n1.address });
    return { client, task: await this.listener.accept() };
  }

  /** The same after a cut: n1 may close its port late, when the other node answers again already. */
  async openAgain(): Promise<{ readonly client: RawSocket; readonly task: RawSocket }> {
    const connect = () =>
      RawSocket.connect(PORTS.stream, { to: this.n1.address }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ECONNREFUSED") throw error;
        return null;
      });
    const client = await waitFor(connect, { what: "n1 to take a client" });
    return { client, task: await this.listener.accept() };
  }

  async close(): Promise<void> {
    await this.cluster.close();
    await this.web.kill();
    this.echo.close();
    this.listener.close();
    this.network.close();
  }
}

function servicesFile(tasks: { stream: string; echo: string; web: string } | null): string {
  return [
    serviceFile({
      name: "stream",
      publish: [`${PORTS.stream}:80`],
      tasks: tasks === null ? [] : [tasks.stream],
    }),
    serviceFile({
      name: "echo",
      publish: [`${PORTS.echo}:53/udp`],
      tasks: tasks === null ? [] : [tasks.echo],
    }),
    serviceFile({ name: "web", publish: [`${PORTS.web}:80`], tasks: tasks === null ? [] : [tasks.web] }),
  ].join("");
}
