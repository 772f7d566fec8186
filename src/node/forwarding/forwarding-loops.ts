/**
 * Tasks that lead back to the published port they serve, over any number of nodes. Pure.
 *
 *   published port -> task -> published port of the node with the task's address -> …
 *
 * A published port of mode ingress is the same on every node, since every node forwards to all of its tasks; one of mode
 * host is another on each. An address and port that is a task of the node it leads to is left to the task there
 * (own-task-ports.ts), so it ends the walk. Tasks of one node that name each other's published ports are loops too:
 * their programs cannot be distinguished from the ports.
 */

import { isIP } from "node:net";
import type { LocalNetwork } from "../../sys/local-addresses.ts";
import { formatHostPort } from "../../wire/index.ts";
import { dialedAddress } from "../own-task-ports.ts";
import { type InputService, type InputTask, portKey, type RoutingInput } from "../routing-input.ts";
import { type Edge, findLoops } from "./find-loops.ts";
import { type ListeningNode, ListeningNodes, listensAt } from "./listening-nodes.ts";

export interface ForwardingLoop {
  readonly service: string;
  /** As the operator wrote it, and the node that declares it. */
  readonly task: string;
  readonly node: string;
  /** The one of the task that leads back. */
  readonly address: string;
  readonly protocol: ViewPort["protocol"];
  readonly published: number;
  /** "8080/tcp -> 192.0.2.2:8080 (web on n2) -> 192.0.2.1:8080 (web on n1)" */
  readonly path: string;
}

export interface ForwardingInput {
  readonly input: RoutingInput;
  readonly network: LocalNetwork;
  /** Of names that this node resolves. */
  readonly addressesOf: (host: string) => readonly string[];
}

type ViewPort = InputService["publish"][number];

/** A task, from one published port of its service to the published port behind its address. */
interface Hop extends Edge {
  readonly service: InputService;
  readonly port: ViewPort;
  readonly task: InputTask;
  readonly address: string;
  readonly targetPort: number;
  readonly nextService: InputService;
  readonly nextNode: string;
  /** The address is one of the task's own node, where it is left to the task. */
  readonly isLocal: boolean;
}

interface AddressedTask {
  readonly service: InputService;
  readonly task: InputTask;
  /** As it is dialed. */
  readonly address: string;
}

/** Paths that go over more hops end with their number. */
const MAX_HOPS_SHOWN = 8;

export function findForwardingLoops(sources: ForwardingInput): ForwardingLoop[] {
  const hops = new Hops(sources);
  const local = Map.groupBy(
    hops.all.filter((hop) => hop.isLocal),
    (hop) => hop.task.node,
  );
  const between = hops.all.filter((hop) => !hop.isLocal);
  return [between, ...local.values()].flatMap((edges) =>
    findLoops({ count: hops.vertices, edges, isExit: hops.exitsOf(edges) }).map(({ edge, path }) =>
      describe(edge, path),
    ),
  );
}

/** Why the task cannot be, and what to do. */
export function describeLoop({ task, path }: ForwardingLoop): string {
  return (
    `task ${task} loops back to its own published port: ${path}; use the address of the program that serves it, ` +
    "or set bind or nodes so that portmesh does not listen on it"
  );
}

/** [service, task, address] of this node's tasks whose names stand for an address of a node: others do not resolve them. */
export function addressesOnNodes({
  input,
  network,
  addressesOf,
}: ForwardingInput): [string, string, string][] {
  const nodes = new ListeningNodes(nodesOf(input, network));
  const own = input.services.flatMap((service) =>
    service.tasks.filter((task) => task.node === input.self.name).map((task) => ({ service, task })),
  );
  return own.flatMap(({ service, task }) => {
    if (isIP(task.host) !== 0) return [];
    const addresses = addressesOf(task.host).map(dialedAddress);
    const isOnNode = addresses.some((address) => nodes.reachedFrom(input.self.name, address).length > 0);
    return isOnNode
      ? addresses.map((address): [string, string, string] => [service.name, task.name, address])
      : [];
  });
}

/** The hops of all tasks, with the published ports numbered as far as hops begin or end in them. */
class Hops {
  readonly all: Hop[] = [];
  readonly #sources: ForwardingInput;
  readonly #nodes: ListeningNodes;
  /** Services that publish a port, by portKey. */
  readonly #publishers = new Map<string, { service: InputService; port: ViewPort }[]>();
  /** By `node address`: the tasks that the node has there; made when it is first asked for. */
  #tasksAt: ReadonlyMap<string, readonly AddressedTask[]> | null = null;
  readonly #tasks: readonly AddressedTask[];
  readonly #dialed = new Map<string, string>();
  readonly #numbers = new Map<string, number>();
  readonly #vertices: {
    readonly service: InputService;
    readonly port: ViewPort;
    readonly node: string | null;
  }[] = [];
  readonly #resolved: ReadonlyMap<string, readonly string[]>;

  constructor(sources: ForwardingInput) {
    const { input, network } = sources;
    this.#sources = sources;
    this.#nodes = new ListeningNodes(nodesOf(input, network));
    this.#resolved = resolvedElsewhere(input);
    for (const service of input.services) {
      for (const port of servedPorts(service)) push(this.#publishers, portKey(port), { service, port });
    }
    this.#tasks = input.services.flatMap((service) =>
      service.tasks.flatMap((task) =>
        this.#addressesOf(service, task).map((address) => ({ service, task, address })),
      ),
    );
    for (const task of this.#tasks) this.#follow(task);
  }

  get vertices(): number {
    return this.#vertices.length;
  }

  /** Whether a published port has a task that none of these edges stands for. */
  exitsOf(edges: readonly Hop[]): (vertex: number) => boolean {
    const leading = Map.groupBy(edges, (hop) => hop.from);
    return (vertex) => {
      const { service, node } = this.#vertices[vertex]!;
      const tasks = service.tasks.filter((task) => node === null || task.node === node);
      const led = new Set(
        (leading.get(vertex) ?? []).map((hop) => `${hop.task.node} ${hop.task.name} ${hop.address}`),
      );
      return tasks.some((task) => {
        const addresses = this.#addressesOf(service, task);
        // of a name that is not resolved, or elsewhere, nothing is known
        return (
          addresses.length === 0 ||
          addresses.some((address) => !led.has(`${task.node} ${task.name} ${address}`))
        );
      });
    };
  }

  #follow({ service, task, address }: AddressedTask): void {
    const nodes = this.#nodes.reachedFrom(task.node, address);
    if (nodes.length === 0) return;
    for (const port of servedPorts(service)) {
      const targetPort = task.port ?? port.target;
      const publishers =
        this.#publishers.get(portKey({ protocol: port.protocol, published: targetPort })) ?? [];
      for (const next of publishers) {
        const node = nodes.find((each) => this.#isPublished(next, each, address, task.node));
        if (node === undefined) continue;
        const isLocal = node.name === task.node;
        if (isLocal && next.port === port) continue; // the program that the port is published for
        this.all.push({
          from: this.#vertex(service, port, task.node),
          to: this.#vertex(next.service, next.port, node.name),
          service,
          port,
          task,
          address,
          targetPort,
          nextService: next.service,
          nextNode: node.name,
          isLocal,
        });
      }
    }
  }

  /** Whether clients get to the published port at this address of the node. */
  #isPublished(
    { service, port }: { readonly service: InputService; readonly port: ViewPort },
    node: ListeningNode,
    address: string,
    from: string,
  ): boolean {
    if (!listensAt(node, service, address)) return false;
    if (port.mode === "host" && !service.tasks.some((task) => task.node === node.name)) return false;
    return node.name === from || !this.#isTaskAt(node.name, address, port);
  }

  #isTaskAt(node: string, address: string, { protocol, published }: ViewPort): boolean {
    this.#tasksAt ??= Map.groupBy(this.#tasks, ({ task, address }) => `${task.node} ${address}`);
    const tasks = this.#tasksAt.get(`${node} ${address}`) ?? [];
    return tasks.some(({ service, task }) =>
      servedPorts(service).some(
        (port) => port.protocol === protocol && (task.port ?? port.target) === published,
      ),
    );
  }

  #vertex(service: InputService, port: ViewPort, onNode: string): number {
    const node = port.mode === "host" ? onNode : null;
    const key = `${service.name} ${portKey(port)} ${node ?? ""}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#vertices.length);
    return this.#vertices.push({ service, port, node }) - 1;
  }

  /** As they are dialed; [] while they are not known. */
  #addressesOf(service: InputService, { node, name, host }: InputTask): readonly string[] {
    const address = this.#dialedAddress(host);
    if (address !== null) return [address];
    if (node === this.#sources.input.self.name)
      return [...new Set(this.#sources.addressesOf(host).map(dialedAddress))];
    return this.#resolved.get(`${node} ${service.name} ${name}`) ?? [];
  }

  /** null: it is a name. */
  #dialedAddress(host: string): string | null {
    const known = this.#dialed.get(host);
    if (known !== undefined) return known;
    if (isIP(host) === 0) return null;
    const address = dialedAddress(host);
    this.#dialed.set(host, address);
    return address;
  }
}

/** By "node service task": the addresses that other nodes announce for their names. */
export function resolvedElsewhere({ nodes }: RoutingInput): ReadonlyMap<string, readonly string[]> {
  const resolved = new Map<string, string[]>();
  for (const { name, taskAddresses } of nodes) {
    for (const [service, task, address] of taskAddresses) {
      push(resolved, `${name} ${service} ${task}`, dialedAddress(address));
    }
  }
  return resolved;
}

/** This node first, from its interfaces rather than from its own announcement. */
export function nodesOf(input: RoutingInput, network: LocalNetwork): [ListeningNode, ...ListeningNode[]] {
  const { self, bind } = input;
  const announced = input.nodes.find(({ name }) => name === self.name)?.addresses ?? [];
  const reached = announced.filter((local) => local.interface === "");
  const own = { ...self, bind, addresses: [...network.addresses, ...reached] };
  return [own, ...input.nodes.filter(({ name }) => name !== self.name)];
}

export function servedPorts({ publish, conflictingPorts }: InputService): readonly ViewPort[] {
  return conflictingPorts.size === 0
    ? publish
    : publish.filter((port) => !conflictingPorts.has(portKey(port)));
}

function describe(loop: Hop, path: readonly Hop[]): ForwardingLoop {
  const { service, task, port, address } = loop;
  const shown = path.slice(0, MAX_HOPS_SHOWN).map(describeHop);
  const hidden = path.length - shown.length;
  return {
    service: service.name,
    task: task.name,
    node: task.node,
    address,
    protocol: port.protocol,
    published: port.published,
    path: [`${port.published}/${port.protocol}`, ...shown, ...(hidden > 0 ? [`${hidden} more`] : [])].join(
      " -> ",
    ),
  };
}

function describeHop({ address, targetPort, nextService, nextNode }: Hop): string {
  return `${formatHostPort(address, targetPort)} (${nextService.name} on ${nextNode})`;
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
