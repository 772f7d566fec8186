/**
 * Five nodes in namespaces, one service, clients at every node: what a fault of one node does to the others.
 *
 *   clients ── bridge ──┬─ n1  no task     each client opens a connection per request; a task is a process of its
 *                       ├─ n2  no task     own in its node's namespace and answers with the node's name
 *                       ├─ n3  task "n3"
 *                       ├─ n4  task "n4"
 *                       └─ n5  task "n5"   the one that breaks
 */
import type { RequestRecord } from "../load/http-load.ts";
import { startWebTask, type WebTask } from "../load/web-task.ts";
import { Namespaces } from "../network/namespaces.ts";
import type { NetworkNode } from "../network/network-node.ts";
import { MeshCluster, namespacePlaces } from "./mesh-cluster.ts";
import { serviceFile } from "./mesh-config.ts";
import { MeshLoad, type MeshLoadOptions } from "./mesh-load.ts";
import type { MeshNode, ServiceInfo } from "./mesh-node.ts";
import { type Measures, recordScenario } from "./mesh-report.ts";

const NODES = 5;
export const PUBLISHED = 8080;
const TASK_PORT = 9000;
/** An answer that took longer has waited for a node that does not answer. */
const SLOW_MS = 150;
const SHOWN_FAILURES = 20;
/** At a node: enough for each of its tasks to have had some. */
const ROUNDS = 20;

export interface ScenarioOptions {
  /** Names of the nodes whose task is in their file. */
  readonly serving?: readonly string[];
  readonly load?: MeshLoadOptions;
}

export class FaultScenario implements AsyncDisposable {
  readonly #measures: Record<string, number | string> = {};

  private constructor(
    readonly name: string,
    readonly network: Namespaces,
    readonly cluster: MeshCluster,
    readonly tasks: ReadonlyMap<string, WebTask>,
    readonly load: MeshLoad,
  ) {}

  /** Resolves when every node serves every task. */
  static async start(
    name: string,
    { serving = ["n3", "n4", "n5"], load: loadOptions = {} }: ScenarioOptions = {},
  ): Promise<FaultScenario> {
    const network = Namespaces.create(NODES);
    const tasks = new Map<string, WebTask>();
    let cluster: MeshCluster | null = null;
    let load: MeshLoad | null = null;
    try {
      await Promise.all(
        network.nodes.map(async ({ name: node, address, wrapper }) => {
          tasks.set(node, await startWebTask(node, TASK_PORT, { address, wrapper }));
        }),
      );
      cluster = await MeshCluster.start({
        label: `mesh-faults/${name.replaceAll(/[^a-z0-9]+/gi, "-")}`,
        places: namespacePlaces(network),
        join: [network.nodes[0]!.address, network.nodes[1]!.address],
        services: (place) => webService(serving.includes(place.name) ? [place.address] : []),
      });
      await cluster.agree((services) => services[0]?.tasks.length === serving.length);
      load = new MeshLoad(cluster.nodes, PUBLISHED, loadOptions);
      const scenario = new FaultScenario(name, network, cluster, tasks, load);
      await scenario.servedBy(serving, scenario.without());
      return scenario;
    } catch (error) {
      await load?.stop();
      await cluster?.close();
      network.close(); // kills the tasks
      throw error;
    }
  }

  node(name: string): MeshNode {
    return this.cluster.node(name);
  }

  /** The machine of a node. */
  machine(name: string): NetworkNode {
    return this.network.nodes.find((node) => node.name === name)!;
  }

  /** Names of the nodes but these. */
  without(...names: readonly string[]): string[] {
    return this.cluster.nodes.map((node) => node.name).filter((name) => !names.includes(name));
  }

  /** Requests that began at or after the time and failed at these nodes, with where and why; the first of them. */
  failures(startedMs: number, nodes: readonly string[]): string[] {
    const all = nodes.flatMap((name) =>
      this.load
        .since(startedMs, [name])
        .filter((record) => record.error !== null)
        .map((record) => `${name} +${(record.startedMs - startedMs).toFixed(0)} ms: ${record.error}`),
    );
    const rest = all.length - SHOWN_FAILURES;
    return rest <= 0 ? all : [...all.slice(0, SHOWN_FAILURES), `and ${rest} more`];
  }

  /** Which tasks answered requests that began at or after the time, sorted. */
  answering(startedMs: number, nodes: readonly string[]): string[] {
    const bodies = this.load.since(startedMs, nodes).flatMap(({ body }) => (body === null ? [] : [body]));
    return [...new Set(bodies)].sort();
  }

  /** Waits until exactly these tasks answer at each of these nodes; gives the time since when. */
  async servedBy(tasks: readonly string[], nodes: readonly string[]): Promise<number> {
    return this.cluster.waitFor(
      async () => {
        const fromMs = performance.now();
        await this.load.more(ROUNDS, nodes);
        const isServed = nodes.every((name) => this.answering(fromMs, [name]).join() === tasks.join());
        return isServed && fromMs;
      },
      { what: `${tasks.join()} to serve at ${nodes.join()}` },
    );
  }

  /** Waits until none of these nodes picks a task on the broken one; gives the time since when. */
  async avoided(broken: string, nodes: readonly string[]): Promise<number> {
    await this.cluster.waitFor(
      async () => {
        const views = await Promise.all(nodes.map((name) => this.node(name).services()));
        const tasks = views.flat().flatMap((service) => service.tasks);
        return tasks.every(
          ({ node, state }) => node !== broken || state === "unreachable" || state === "down",
        );
      },
      { what: `${nodes.join()} to avoid ${broken}` },
    );
    return performance.now();
  }

  /** Waits until all have one catalog, as wanted, and then until nobody suspects anybody; how long both took. */
  async agreeAgain(sinceMs: number, isWanted: (services: readonly ServiceInfo[]) => boolean): Promise<void> {
    await this.cluster.agree(isWanted);
    this.measure("ms until all agree again", performance.now() - sinceMs);
    await this.cluster.allAlive();
    this.measure("ms until none suspects another", performance.now() - sinceMs);
  }

  /** How long after the time the last request began that had to wait for somebody, and how long the longest took. */
  measureDelays(startedMs: number, nodes: readonly string[]): void {
    const records = this.load.since(startedMs, nodes);
    const duration = (record: RequestRecord) => record.endedMs - record.startedMs;
    const lastSlow = records.filter((record) => duration(record) > SLOW_MS).at(-1);
    this.measure("requests", records.length);
    this.measure("failed", records.filter((record) => record.error !== null).length);
    this.measure("slowest ms", Math.max(0, ...records.map(duration)));
    this.measure(
      `ms until the last that took > ${SLOW_MS} ms`,
      lastSlow === undefined ? 0 : lastSlow.startedMs - startedMs,
    );
  }

  measure(name: string, value: number | string): void {
    this.#measures[name] = value;
  }

  /** Ends the load and everything else; writes the numbers to the report. */
  async finish(): Promise<Measures> {
    await this.load.stop();
    recordScenario(this.name, this.#measures);
    return this.#measures;
  }

  /** After finish(), or instead of it. */
  async close(): Promise<void> {
    const ended = Promise.all([this.cluster.close(), ...[...this.tasks.values()].map((task) => task.kill())]);
    await Promise.all([this.load.stop(), ended]);
    this.network.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The file's part about the service; tasks on these addresses. */
export function webService(addresses: readonly string[]): string {
  const tasks = addresses.map((address) => `${address}:${TASK_PORT}`);
  return serviceFile({ name: "web", publish: [`${PUBLISHED}:80`], tasks });
}
