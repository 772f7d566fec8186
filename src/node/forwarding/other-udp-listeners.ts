/**
 * The routing input -> where other nodes listen on published UDP ports. Pure.
 *
 * Not where a node leaves an address to a task of its own, and not where it has reported that it does not listen: the
 * program there may be a client of another published port, from its own port.
 */

import { isIP } from "node:net";
import type { UdpListeners } from "../../proxy/index.ts";
import { isWildcard } from "../../wire/index.ts";
import { dialedAddress } from "../own-task-ports.ts";
import type { InputNode, InputService, RoutingInput } from "../routing-input.ts";
import { resolvedElsewhere, servedPorts } from "./forwarding-loops.ts";
import { addressesOf, listensAt } from "./listening-nodes.ts";

interface Place {
  readonly node: string;
  /** A wildcard address is every one of its family. */
  readonly address: string;
}

/** "udp 0.0.0.0:5300-5309" */
const UDP_LISTENERS = /^udp \[?([^\]]*)\]?:(\d+)(?:-(\d+))?$/;
/** "5300-5309/udp" */
const UDP_PORTS = /^(\d+)(?:-(\d+))?\/udp$/;

export function otherUdpListeners(input: RoutingInput): UdpListeners[] {
  const ports = publishedUdpPorts(input);
  const nodes = input.nodes.filter(({ name }) => name !== input.self.name);
  if (ports.size === 0 || nodes.length === 0) return [];
  const exceptions = exceptionsAt(ports, nodes, input);
  const groups = new Groups();
  const placesBy = new Map<string, readonly Place[]>();
  for (const service of input.services) {
    const rules = JSON.stringify([service.bind, service.nodes]);
    const places = placesBy.get(rules) ?? listeningPlaces(service, nodes);
    placesBy.set(rules, places);
    const serving = new Set(service.tasks.map(({ node }) => node));
    const hosts = places.filter(({ node }) => serving.has(node));
    for (const { protocol, published, mode } of servedPorts(service)) {
      if (protocol !== "udp") continue;
      const all = mode === "host" ? hosts : places;
      const without = exceptions.get(published);
      const open = without === undefined ? all : all.filter((place) => !isAmong(without, place));
      groups.add(open, published);
    }
  }
  return groups.listeners();
}

export function publishedUdpPorts({ services }: RoutingInput): Set<number> {
  const udp = services.flatMap((service) =>
    servedPorts(service).filter(({ protocol }) => protocol === "udp"),
  );
  return new Set(udp.map(({ published }) => published));
}

/** Groups the ports that have listeners at the same addresses. */
class Groups {
  readonly #ports = new Map<string, { readonly addresses: readonly string[]; readonly ports: Set<number> }>();
  /** Most ports of a service have the same places. */
  readonly #keys = new Map<readonly Place[], string>();

  add(places: readonly Place[], port: number): void {
    if (places.length === 0) return;
    const key = this.#keyOf(places);
    const group = this.#ports.get(key) ?? { addresses: addressesAt(places), ports: new Set() };
    group.ports.add(port);
    this.#ports.set(key, group);
  }

  listeners(): UdpListeners[] {
    return [...this.#ports.values()].map(({ addresses, ports }) => ({ addresses, ports: [...ports] }));
  }

  #keyOf(places: readonly Place[]): string {
    const key = this.#keys.get(places) ?? addressesAt(places).join(" ");
    this.#keys.set(places, key);
    return key;
  }
}

function addressesAt(places: readonly Place[]): string[] {
  return [...new Set(places.map(({ address }) => address))].sort();
}

function listeningPlaces(service: InputService, nodes: readonly InputNode[]): Place[] {
  return nodes.flatMap((node) =>
    [...addressesOf(node)]
      .filter((address) => listensAt(node, service, address))
      .map((address) => ({ node: node.name, address })),
  );
}

/** By published port: where it is not listened on. */
function exceptionsAt(
  published: ReadonlySet<number>,
  nodes: readonly InputNode[],
  input: RoutingInput,
): ReadonlyMap<number, readonly Place[]> {
  const exceptions = new Map<number, Place[]>();
  const add = (port: number, place: Place) => {
    const places = exceptions.get(port);
    if (places === undefined) exceptions.set(port, [place]);
    else places.push(place);
  };
  for (const [port, place] of taskPlaces(input)) if (published.has(port)) add(port, place);
  for (const { name, notListening } of nodes) {
    for (const { addresses, first, last } of notListening.flatMap(parseListeners)) {
      for (const port of published)
        if (port >= first && port <= last)
          for (const address of addresses) add(port, { node: name, address });
    }
  }
  return exceptions;
}

/** [port, place] of UDP tasks of other nodes. */
function* taskPlaces(input: RoutingInput): Generator<[number, Place]> {
  const resolved = resolvedElsewhere(input);
  for (const service of input.services) {
    const targets = servedPorts(service)
      .filter(({ protocol }) => protocol === "udp")
      .map(({ target }) => target);
    if (targets.length === 0) continue;
    for (const { node, name, host, port } of service.tasks) {
      if (node === input.self.name) continue;
      const addresses =
        isIP(host) !== 0 ? [dialedAddress(host)] : (resolved.get(`${node} ${service.name} ${name}`) ?? []);
      for (const address of addresses)
        for (const target of port === null ? targets : [port]) yield [target, { node, address }];
    }
  }
}

/** [] when it is not about UDP. */
function parseListeners(text: string): { addresses: readonly string[]; first: number; last: number }[] {
  const failed = UDP_LISTENERS.exec(text);
  const closed = UDP_PORTS.exec(text);
  const [from, to] = failed?.slice(2) ?? closed?.slice(1) ?? [];
  if (from === undefined) return [];
  const addresses = failed === null ? ["0.0.0.0", "::"] : [failed[1]!];
  return [{ addresses, first: Number(from), last: Number(to ?? from) }];
}

function isAmong(places: readonly Place[], { node, address }: Place): boolean {
  return places.some(
    (each) =>
      each.node === node &&
      (each.address === address ||
        (isWildcard(each.address) && each.address.includes(":") === address.includes(":"))),
  );
}
