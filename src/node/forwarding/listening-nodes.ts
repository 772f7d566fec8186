/** Every live node of the cluster, as far as it matters for where its services listen. Pure. */

import { isIP } from "node:net";
import type { Labels } from "../../model/index.ts";
import type { LocalAddress } from "../../sys/local-addresses.ts";
import { PrefixSet, parseIp } from "../../wire/index.ts";
import type { InputService } from "../routing-input.ts";

export interface ListeningNode {
  readonly name: string;
  readonly labels: Labels;
  /** proxy.bind */
  readonly bind: readonly string[];
  /** Of its interfaces, and where other nodes reach it. */
  readonly addresses: readonly LocalAddress[];
}

const LOOPBACK = PrefixSet.from(["127.0.0.0/8", "::1"]);

export class ListeningNodes {
  readonly #byName: ReadonlyMap<string, ListeningNode>;
  readonly #byAddress = new Map<string, ListeningNode[]>();
  /** Of addresses asked for: nearly all tasks are at a few. */
  readonly #isLoopback = new Map<string, boolean>();

  constructor(nodes: readonly ListeningNode[]) {
    this.#byName = new Map(nodes.map((node) => [node.name, node]));
    for (const node of nodes) for (const address of addressesOf(node)) this.#add(address, node);
  }

  get(name: string): ListeningNode | undefined {
    return this.#byName.get(name);
  }

  /** The nodes that `address` leads to, for a program on node `from`. An address of its own machine leads there alone. */
  reachedFrom(from: string, address: string): readonly ListeningNode[] {
    const nodes = this.#byAddress.get(address) ?? [];
    const own = this.#byName.get(from);
    if (own === undefined || nodes.includes(own)) return own === undefined ? nodes : [own];
    return nodes.length === 0 && this.#isOnOwnMachine(address) ? [own] : nodes;
  }

  #isOnOwnMachine(address: string): boolean {
    const known = this.#isLoopback.get(address);
    if (known !== undefined) return known;
    const answer = isLoopback(address);
    this.#isLoopback.set(address, answer);
    return answer;
  }

  #add(address: string, node: ListeningNode): void {
    const nodes = this.#byAddress.get(address);
    if (nodes === undefined) this.#byAddress.set(address, [node]);
    else nodes.push(node);
  }
}

/** Whether a published port of the service may be listened on there, as `nodes` and `bind` say. */
export function listensAt(
  node: ListeningNode,
  service: Pick<InputService, "bind" | "nodes">,
  address: string,
): boolean {
  const isSelected = Object.entries(service.nodes).every(
    ([key, value]) => Object.hasOwn(node.labels, key) && node.labels[key] === value,
  );
  if (!isSelected) return false;
  const bind = service.bind ?? node.bind;
  return bind.length === 0 || bind.some((rule) => isMeant(rule, node, address));
}

function isMeant(rule: string, node: ListeningNode, address: string): boolean {
  if (rule.includes("/")) return isInside(PrefixSet.from([rule]), address);
  if (isIP(rule) === 0) {
    return node.addresses.some((local) => local.interface === rule && local.address === address);
  }
  return rule === address || rule === (address.includes(":") ? "::" : "0.0.0.0");
}

/** Each once, without the loopback addresses that every machine has. */
export function addressesOf({ addresses }: Pick<ListeningNode, "addresses">): Set<string> {
  const own = addresses.filter((local) => local.interface !== "lo" || !isLoopback(local.address));
  return new Set(own.map(({ address }) => address));
}

function isLoopback(address: string): boolean {
  return isInside(LOOPBACK, address);
}

function isInside(prefixes: PrefixSet, address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && prefixes.matches(ip.family, ip.bytes, 0);
}
