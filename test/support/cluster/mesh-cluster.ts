/**
 * A mesh under test: some nodes of one cluster, each a compiled executable, in namespaces or on loopback addresses of
 * their own. Waits for what the cluster as a whole is to know; a wait in vain tells what every node thought.
 */
import { randomBytes, randomInt } from "node:crypto";
import { join } from "node:path";
import type { Namespaces } from "../network/namespaces.ts";
import { type WaitOptions, waitFor } from "../time/wait-for.ts";
import { type MeshSettings, meshFile } from "./mesh-config.ts";
import { type MemberView, MeshNode, type MeshPlace, type ServiceInfo } from "./mesh-node.ts";

/** A suspicion takes some probe rounds of a second each; finding each other again after a cut may take longer. */
const AGREEMENT_DEADLINE_MS = 60_000;
const LOG_TAIL_CHARS = 1500;

export interface MeshOptions {
  /** For the log files: dist/test-logs/LABEL/NODE.log. */
  readonly label: string;
  /** See loopbackPlaces and namespacePlaces. */
  readonly places: readonly MeshPlace[];
  readonly settings?: Partial<MeshSettings>;
  /** The part of its file that is the node's own. */
  readonly services?: (place: MeshPlace, index: number) => string;
  /** Lines of [overlay], where nodes differ. */
  readonly overlay?: (place: MeshPlace, index: number) => string;
  readonly labels?: (place: MeshPlace, index: number) => Readonly<Record<string, string>>;
  /** Default: the first node's address. */
  readonly join?: readonly string[];
  /** All of them run now, and need not have seen each other yet. */
  readonly onStarted?: () => Promise<void>;
}

/** `count` nodes n1, n2, … on 127.x.y.1, .2, …: the same ports on each, no privileges, no faults but those of processes. */
export function loopbackPlaces(count: number): MeshPlace[] {
  const subnet = loopbackSubnet();
  return Array.from({ length: count }, (_, index) => ({
    name: `n${index + 1}`,
    address: `${subnet}.${index + 1}`,
    wrapper: [],
  }));
}

/** "127.x.y", different in runs beside each other, never 127.0.0 or what other tests use. */
export function loopbackSubnet(): string {
  return `127.${randomInt(16, 250)}.${randomInt(1, 250)}`;
}

/** One node in each namespace. */
export function namespacePlaces(namespaces: Namespaces): MeshPlace[] {
  return namespaces.nodes.map(({ name, address, wrapper }) => ({ name, address, wrapper }));
}

/** A key as `portmesh keygen` prints it. */
export function newKey(): string {
  return randomBytes(32).toString("base64");
}

export class MeshCluster {
  readonly settings: MeshSettings;

  private constructor(
    readonly options: MeshOptions,
    readonly nodes: readonly MeshNode[],
    settings: MeshSettings,
  ) {
    this.settings = settings;
  }

  /** Starts all of them at once and waits until each sees all alive. */
  static async start(options: MeshOptions): Promise<MeshCluster> {
    const cluster = MeshCluster.prepare(options);
    try {
      await Promise.all(cluster.nodes.map((node) => node.start()));
      await options.onStarted?.();
      await cluster.allAlive();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Writes nothing and starts nothing yet. */
  static prepare(options: MeshOptions): MeshCluster {
    const settings: MeshSettings = {
      clusterName: "test",
      keys: [newKey()],
      profile: "lan",
      isInsecure: false,
      isWildcard: false,
      isAdvertising: true,
      overlay: 'driver = "none"',
      workers: 1,
      ...options.settings,
    };
    const nodes = options.places.map((place) => new MeshNode(place, ""));
    const cluster = new MeshCluster(options, nodes, settings);
    for (const node of nodes) node.file = cluster.fileOf(node);
    return cluster;
  }

  /** A node's file, with other settings or services than the cluster's where given. */
  fileOf(node: MeshNode, settings: Partial<MeshSettings> = {}, services?: string): string {
    const index = this.nodes.indexOf(node);
    const { places, labels, overlay, join: seeds } = this.options;
    return meshFile({
      ...this.settings,
      ...(overlay !== undefined && { overlay: overlay(node.place, index) }),
      ...settings,
      name: node.name,
      address: node.address,
      labels: labels?.(node.place, index) ?? {},
      dataDirectory: join(node.directory, "data"),
      join: seeds ?? [places[0]!.address],
      bind: node.place.wrapper.length === 0 ? [node.address] : [],
      services: services ?? this.options.services?.(node.place, index) ?? "",
    });
  }

  node(name: string): MeshNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  get running(): MeshNode[] {
    return this.nodes.filter((node) => node.isRunning);
  }

  /** Waits until each of these sees exactly these alive; all that run by default. */
  async allAlive(nodes: readonly MeshNode[] = this.running): Promise<void> {
    const wanted = sortedNames(nodes);
    await this.waitFor(
      async () => {
        const views = await Promise.all(nodes.map(aliveIn));
        return views.every((view) => view.join() === wanted);
      },
      { what: `${wanted} to see each other, and nobody else, alive` },
    );
  }

  /** Waits until each of `observers` has the member in one of these states; "gone" is: not listed. */
  async seenAs(
    member: string,
    states: readonly (MemberView["state"] | "gone")[],
    observers: readonly MeshNode[] = this.others(member),
  ): Promise<void> {
    await this.waitFor(
      async () => {
        const seen = await Promise.all(observers.map((node) => stateIn(node, member)));
        return seen.every((state) => states.includes(state));
      },
      { what: `${sortedNames(observers)} to see ${member} as ${states.join(" or ")}` },
    );
  }

  /** Running nodes but this one. */
  others(name: string): MeshNode[] {
    return this.running.filter((node) => node.name !== name);
  }

  /** Waits until all of these have the same catalog and its services are as wanted; gives them. */
  async agree(
    isWanted: (services: readonly ServiceInfo[]) => boolean = () => true,
    nodes: readonly MeshNode[] = this.running,
  ): Promise<readonly ServiceInfo[]> {
    return this.waitFor(
      async () => {
        const statuses = await Promise.all(nodes.map((node) => node.status()));
        const revisions = new Set(statuses.map(({ cluster }) => cluster.catalog.revision));
        const services = await nodes[0]!.services();
        return revisions.size === 1 && isWanted(services) && services;
      },
      { what: `${sortedNames(nodes)} to agree about the services` },
    );
  }

  /** waitFor, with what the nodes said in the error. */
  async waitFor<T>(condition: () => T | Promise<T>, options: WaitOptions) {
    try {
      return await waitFor(condition, { deadlineMs: AGREEMENT_DEADLINE_MS, ...options });
    } catch (error) {
      const report = await Promise.all(this.nodes.map(describe));
      throw new Error(`${(error as Error).message}\n${report.join("\n")}`, { cause: error });
    }
  }

  /** Ends every process of it. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove(this.options.label)));
  }
}

async function aliveIn(node: MeshNode): Promise<string[]> {
  const { members } = (await node.status()).cluster;
  return members
    .filter(({ state }) => state === "alive")
    .map(({ name }) => name)
    .sort();
}

async function stateIn(node: MeshNode, member: string): Promise<MemberView["state"] | "gone"> {
  const { members } = (await node.status()).cluster;
  return members.find(({ name }) => name === member)?.state ?? "gone";
}

function sortedNames(nodes: readonly MeshNode[]): string {
  return nodes
    .map((node) => node.name)
    .sort()
    .join();
}

async function describe(node: MeshNode): Promise<string> {
  const members = await node.status().then(
    ({ cluster }) => JSON.stringify(cluster.members),
    (error: Error) => error.message,
  );
  return `--- ${node.name}: ${members}\n${node.log.slice(-LOG_TAIL_CHARS)}`;
}
