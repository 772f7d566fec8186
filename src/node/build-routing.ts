/**
 * The routing input + resolved names + the machine's addresses -> routing table. Pure: the same input gives the
 * same table, so a caller can build it after every change, compare, and do nothing when it is equal.
 *
 * What cannot be had now (a name without address, an interface that is not there) leaves a warning, never an error:
 * everything else is served, and a later table repairs it.
 */

import { isIP } from "node:net";
import { namesOfPort, selects } from "../model/index.ts";
import type { Distance, Peer, PublishedPort, Relay, RoutingTable, Service, Task } from "../proxy/index.ts";
import type { LocalNetwork } from "../sys/local-addresses.ts";
import {
  addressesOnNodes,
  type ForwardingLoop,
  findForwardingLoops,
  nodesOf,
} from "./forwarding/forwarding-loops.ts";
import { otherUdpListeners, publishedUdpPorts } from "./forwarding/other-udp-listeners.ts";
import { listenAddresses, withoutTaskAddresses } from "./listen-addresses.ts";
import { dialedAddress, hasTaskOnPublishedPort, OwnTaskPorts, type TaskAddresses } from "./own-task-ports.ts";
import {
  type InputNode,
  type InputService,
  type InputTask,
  portKey,
  type RoutingInput,
  ZONE_LABEL,
} from "./routing-input.ts";

export interface RoutingSources {
  readonly input: RoutingInput;
  readonly network: LocalNetwork;
  /** [] while the name has not been resolved. */
  readonly addressesOf: (host: string) => readonly string[];
}

export interface Routing {
  readonly table: RoutingTable;
  readonly warnings: readonly RoutingWarning[];
  readonly loops: readonly ForwardingLoop[];
  /** What other nodes have to know of this node's tasks, see NodeRecord. */
  readonly taskAddresses: InputNode["taskAddresses"];
}

export interface RoutingWarning {
  readonly service: string;
  readonly message: string;
}

export function buildRouting(sources: RoutingSources): Routing {
  const { input } = sources;
  const warnings: RoutingWarning[] = [];
  const claims = new Map<string, string>();
  const distances = distancesFrom(input);
  const loops = findForwardingLoops(sources);
  const loopsOf = Map.groupBy(loops, ({ service, ...port }) => `${service} ${portKey(port)}`);
  const ownTasks = new OwnTaskPorts(input, sources.addressesOf);
  const services = input.services.map((service): Service => {
    const warn = (message: string) => warnings.push({ service: service.name, message });
    const {
      publish,
      tasks,
      bind,
      nodes,
      conflictingPorts,
      check: _,
      panic: __,
      slowStartMs: ___,
      ...rules
    } = service;
    const ports = publish.filter((port) => !conflictingPorts.has(portKey(port)));
    const isListening = selects(nodes, input.self.labels);
    const bound = isListening ? listenAddresses(bind ?? input.bind, sources.network, warn) : [];
    const addresses = bound.filter((address) => claim(claims, service.name, ports, address, warn));
    const routed = tasks.flatMap((task) => routeTask(task, sources, distances));
    return {
      ...rules,
      ports: ports.map((port) => ({
        ...besideTasks(port, addresses, ownTasks.at(port), sources.network),
        ...taskLoops(loopsOf.get(`${service.name} ${portKey(port)}`), routed, input),
      })),
      tasks: routed,
      listenAddresses: addresses,
    };
  });
  const table = {
    services,
    peers: peersOf(input),
    relay: relayOf(input),
    localAddresses: publishedUdpPorts(input).size === 0 ? [] : localAddresses(sources),
    otherUdpListeners: otherUdpListeners(input),
  };
  return { table, warnings, loops, taskAddresses: addressesOnNodes(sources) };
}

/** Names to resolve, each once: those of tasks of this node, others are resolved where they run. */
export function hostNames({ self, services }: RoutingInput): string[] {
  const tasks = services.flatMap((service) => service.tasks.filter((task) => task.node === self.name));
  return [...new Set(tasks.map((task) => task.host).filter((host) => isIP(host) === 0))];
}

/** Whether the table depends on the addresses of the machine's interfaces, or that of other nodes does. */
export function dependsOnInterfaces(input: RoutingInput): boolean {
  return (
    input.relay !== null ||
    input.services.some((service) => (service.bind ?? input.bind).some((rule) => isIP(rule) === 0)) ||
    hasTaskOnPublishedPort(input) ||
    publishedUdpPorts(input).size > 0
  );
}

/** One of this node's as many times as its name has addresses; another node's once, if that node can be reached. */
function routeTask(
  task: InputTask,
  { input, addressesOf }: RoutingSources,
  distances: ReadonlyMap<string, Distance>,
): Task[] {
  const { node, host, ...rest } = task;
  const identity = `${node} ${task.name}`;
  if (node !== input.self.name) {
    const distance = distances.get(node);
    return distance === undefined ? [] : [{ ...rest, node, distance, identity, address: host }];
  }
  const own = { ...rest, node: null, distance: "local" as const };
  if (isIP(host) !== 0) return [{ ...own, identity, address: host }];
  return addressesOf(host).map((address) => ({ ...own, identity: `${identity} ${address}`, address }));
}

/** By node: those that can be reached. */
function distancesFrom({ self, peers, relay }: RoutingInput): Map<string, Distance> {
  if (relay === null) return new Map();
  const zone = self.labels[ZONE_LABEL];
  return new Map(peers.map((peer) => [peer.name, peer.zone !== null && peer.zone === zone ? "zone" : "far"]));
}

/** Those with tasks: others need no warm connection. */
function peersOf({ self, services, peers, relay }: RoutingInput): Peer[] {
  if (relay === null) return [];
  const used = new Set(services.flatMap((service) => service.tasks.map((task) => task.node)));
  used.delete(self.name);
  return peers
    .filter(({ name }) => used.has(name))
    .map(({ name, address, port, udpPort, isSealed, isOverlay, source }) => ({
      ...{ name, address, port, udpPort, isSealed },
      ...(isOverlay === true && { isOverlay }),
      ...(source !== undefined && { source }),
      ...(relay.isWan === true && { isWan: true }),
    }));
}

function relayOf({ self, relay }: RoutingInput): Relay | null {
  return relay === null ? null : { node: self.name, ...relay };
}

/** Of this machine, and where other nodes reach it. */
function localAddresses({ input, network }: RoutingSources): string[] {
  const [own] = nodesOf(input, network);
  return [...new Set(own.addresses.map(({ address }) => address))];
}

/** A port that a task of this node has too leaves the task's address alone. */
function besideTasks(
  port: PublishedPort,
  addresses: readonly string[],
  tasks: TaskAddresses,
  network: LocalNetwork,
): PublishedPort {
  if (tasks.size === 0) return port;
  const { leftToTasks, ...rest } = withoutTaskAddresses(addresses, tasks, network);
  return leftToTasks.length === 0 ? port : { ...port, ...rest, leftToTasks };
}

/** The tasks of the table that these loops of one port are about: another node's only if all of its addresses lead back. */
function taskLoops(
  loops: readonly ForwardingLoop[] | undefined,
  tasks: readonly Task[],
  input: RoutingInput,
): Pick<PublishedPort, "loops"> {
  if (loops === undefined) return {};
  const found = tasks.flatMap((task) => {
    const ofTask = loops.filter(
      (loop) => loop.task === task.name && loop.node === (task.node ?? input.self.name),
    );
    const loop =
      task.node === null
        ? ofTask.find(({ address }) => address === dialedAddress(task.address))
        : ofTask.length >= addressCount(task, loops[0]!.service, input) && ofTask[0];
    return loop ? [{ task: task.name, node: task.node, address: task.address, path: loop.path }] : [];
  });
  return found.length === 0 ? {} : { loops: found };
}

/** Of another node's task; one given by its address has one. */
function addressCount({ name, node }: Task, service: string, { nodes }: RoutingInput): number {
  const announced = nodes.find((each) => each.name === node)?.taskAddresses ?? [];
  return Math.max(1, announced.filter((entry) => entry[0] === service && entry[1] === name).length);
}

/** Two interfaces may turn out to have one address: the service that comes first keeps it. */
function claim(
  claims: Map<string, string>,
  service: InputService["name"],
  ports: readonly PublishedPort[],
  address: string,
  warn: (message: string) => void,
): boolean {
  const keysOf = (port: PublishedPort) =>
    namesOfPort(port).map((name) => `${address} ${portKey(port)} ${name}`);
  const taken = ports.find((port) => keysOf(port).some((key) => claims.has(key)));
  if (taken !== undefined) {
    const owner = claims.get(keysOf(taken).find((key) => claims.has(key))!);
    warn(`cannot listen on ${address}: ${taken.published}/${taken.protocol} there belongs to "${owner}"`);
    return false;
  }
  for (const key of ports.flatMap(keysOf)) claims.set(key, service);
  return true;
}
