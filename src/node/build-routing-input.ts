/**
 * The catalog -> the routing input of this node. Pure. With the changes that a file would make, it is
 * the input after them: what a reload prepares before anybody else hears of it.
 */

import type { Conflict, NodeRecord, ServiceRecord, TaskRecord } from "../catalog/index.ts";
import type { Labels, ServiceSpec } from "../model/index.ts";
import { isInPanic, isOutOfRotation, isTaskDraining, shareKey } from "./rotation.ts";
import {
  type InputNode,
  type InputPeer,
  type InputRelay,
  type InputService,
  type InputTask,
  portKey,
  type RoutingInput,
  ZONE_LABEL,
} from "./routing-input.ts";

export interface RoutingInputParts {
  readonly self: { readonly name: string; readonly labels: Labels };
  /** An operator wants no new connections to its tasks. */
  readonly isSelfDraining: boolean;
  readonly bind: readonly string[];
  readonly relay: InputRelay | null;
  /** How a node that takes relays is reached; null: it is not. */
  readonly reach: (name: string, node: NodeRecord) => PeerReach | null;
  /** By name. */
  readonly services: ReadonlyMap<string, Pick<ServiceRecord, "spec">>;
  /** Of nodes that are alive. */
  readonly tasks: readonly OwnedTask[];
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  /** By service that has lost a port. */
  readonly conflicts: ReadonlyMap<string, readonly Conflict[]>;
  /** Names in the order of this node's file; others follow by name. */
  readonly fileOrder: readonly string[];
  /** By shareKey: tasks that do not get their whole share yet. */
  readonly shares?: ReadonlyMap<string, number>;
}

export type PeerReach = Omit<InputPeer, "name" | "zone">;

export interface OwnedTask extends TaskRecord {
  readonly owner: string;
}

export function buildRoutingInput(sources: RoutingInputParts): RoutingInput {
  const { self, bind, relay, services, nodes } = sources;
  const tasks = Map.groupBy(sources.tasks, (task) => task.service);
  return {
    self,
    bind,
    relay,
    services: orderedNames(sources).map(
      (name): InputService => ({
        ...services.get(name)!.spec,
        name,
        conflictingPorts: new Set((sources.conflicts.get(name) ?? []).map((port) => portKey(port))),
        tasks: inputTasks(services.get(name)!.spec, tasks.get(name) ?? [], sources),
      }),
    ),
    peers: [...nodes].flatMap(([name, node]) => (name === self.name ? [] : peerOf(name, node, sources))),
    nodes: [...nodes].map(([name, node]) => inputNodeOf(name, node)),
  };
}

function inputTasks(spec: ServiceSpec, tasks: readonly OwnedTask[], sources: RoutingInputParts): InputTask[] {
  const isDraining = (task: OwnedTask) => isTaskDraining(task, isNodeDraining(task.owner, sources));
  const isPanicking = isInPanic(spec, tasks, isDraining);
  return tasks.map((task) => {
    const { owner, service, name, host, port, weight, isBackup } = task;
    const share = sources.shares?.get(shareKey(owner, service, name));
    return {
      ...{ node: owner, name, host, port, weight, isDraining: isDraining(task) },
      ...(isBackup === true && { isBackup }),
      ...(isOutOfRotation(task, isPanicking) && { isOutOfRotation: true }),
      ...(share !== undefined && { share }),
    };
  });
}

/** A stopping node still serves its own clients from its own tasks; other nodes no longer relay to it. */
function isNodeDraining(node: string, { self, isSelfDraining, nodes }: RoutingInputParts): boolean {
  return node === self.name ? isSelfDraining : nodes.get(node)?.isDraining === true;
}

function orderedNames({ services, fileOrder }: RoutingInputParts): string[] {
  const inFile = fileOrder.filter((name) => services.has(name));
  const known = new Set(inFile);
  return [...inFile, ...[...services.keys()].filter((name) => !known.has(name)).sort()];
}

function peerOf(name: string, node: NodeRecord, { reach }: RoutingInputParts): InputPeer[] {
  const reached = reach(name, node);
  return reached === null ? [] : [{ name, zone: node.labels[ZONE_LABEL] ?? null, ...reached }];
}

/** A node of an older version announces only its relay address. */
function inputNodeOf(
  name: string,
  { labels, network, relay, overlay, taskAddresses = [], bindErrors }: NodeRecord,
): InputNode {
  const interfaces = (network?.addresses ?? []).map(([name, address]) => ({ interface: name, address }));
  const reached = [relay?.address, overlay?.address].flatMap((address) =>
    address == null ? [] : [{ interface: "", address }],
  );
  return {
    name,
    labels,
    bind: network?.bind ?? [],
    addresses: [...interfaces, ...reached],
    taskAddresses,
    notListening: bindErrors.map(([, listener]) => listener),
  };
}
