/**
 * Network namespaces on one bridge, and faults in them. The test's own process is on that network too.
 *
 *   test process ── .254 uplink ──┐
 *                               bridge (namespace "hub")
 *        n1 .1 eth0 ──────────────┤
 *        n2 .2 eth0 ──────────────┘       10.99.x.0/24, x picked so that runs beside each other do not meet
 *
 * Everything goes away with close(), or with the process, however it ends: a guard in a process of its own waits for
 * that. What is left if the guard was killed, too, goes with the next create().
 */
import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { lacks, skip } from "../os/require-program.ts";
import {
  listNamespaces,
  removeNamespaces,
  removeStale,
  runBatch,
  runIp,
  startGuard,
} from "./namespace-lifetime.ts";
import { formatName, parseName, startTicksOf, uplinkName } from "./namespace-names.ts";
import { NetworkNode } from "./network-node.ts";

const SUBNET_PREFIX = "10.99";
const HUB = "hub";
const OUTSIDE_HOST = 254;
/** Two runs may pick the same subnet at the same time; neither keeps it then. */
const SUBNET_TRIES = 20;

/** For `describe.skipIf(lacksNamespaces())`: programs or rights are missing. */
export function lacksNamespaces(): boolean {
  if (lacks("ip", "nft")) return true;
  return process.getuid!() !== 0 && skip("network namespaces need root");
}

export class Namespaces {
  static #created = 0;
  readonly nodes: readonly NetworkNode[];
  readonly #names: readonly string[];
  readonly #guard: Bun.Subprocess<"pipe", "ignore", "ignore">;

  private constructor(
    /** "10.99.37" */
    readonly subnet: string,
    readonly uplink: string,
    hub: string,
    nodes: readonly NetworkNode[],
  ) {
    this.nodes = nodes;
    this.#names = [hub, ...nodes.map((node) => node.namespace)];
    this.#guard = startGuard(this.#names);
  }

  /** `count` nodes named n1, n2, …, with addresses .1, .2, …; removes what killed runs have left. */
  static create(count: number): Namespaces {
    removeStale();
    const network = Namespaces.#created++;
    const owner = { pid: process.pid, startTicks: startTicksOf(process.pid)!, network };
    const hub = formatName({ ...owner, node: HUB });
    const uplink = uplinkName(process.pid, network);
    const namespaces = Array.from({ length: count }, (_, index) =>
      formatName({ ...owner, node: `n${index + 1}` }),
    );
    try {
      const subnet = openHub(hub, uplink);
      const nodes = namespaces.map(
        (namespace, index) => new NetworkNode(`n${index + 1}`, namespace, `${subnet}.${index + 1}`, hub),
      );
      for (const node of nodes) attach(hub, node);
      return new Namespaces(subnet, uplink, hub, nodes);
    } catch (error) {
      removeNamespaces([...namespaces, hub]);
      throw error;
    }
  }

  /** The test process's address in this network. */
  get outside(): string {
    return `${this.subnet}.${OUTSIDE_HOST}`;
  }

  /** Prefix of all nodes' addresses, without the test process's: .0 to .127. */
  get everyNode(): string {
    return `${this.subnet}.0/25`;
  }

  /** Ends what still runs in the namespaces and removes them. */
  close(): void {
    runIp(["link", "delete", this.uplink], { mayFail: true });
    removeNamespaces(this.#names);
    this.#guard.stdin.end();
  }

  /** Namespaces and interfaces that processes like this one have made and that are still there. */
  static leftovers(isOurs: (pid: number) => boolean = (pid) => pid === process.pid): string[] {
    const names = listNamespaces().filter((name) => isOurs(parseName(name)?.pid ?? -1));
    const uplinkOwner = (name: string) => Number.parseInt(/^pm([0-9a-z]+)k/.exec(name)?.[1] ?? "", 36);
    const interfaces = Object.keys(networkInterfaces()).filter((name) => isOurs(uplinkOwner(name)));
    return [...names, ...interfaces];
  }
}

/** The bridge, and the test process's leg on it; gives the subnet. */
function openHub(hub: string, uplink: string): string {
  runIp(["netns", "add", hub]);
  runIp(["link", "add", uplink, "type", "veth", "peer", "name", "uplink", "netns", hub]);
  runBatch(hub, [
    "link set lo up",
    "link add bridge type bridge forward_delay 0",
    "link set bridge up",
    "link set uplink master bridge up",
  ]);
  for (let tries = 0; tries < SUBNET_TRIES; tries++) {
    const subnet = `${SUBNET_PREFIX}.${randomInt(1, 255)}`;
    if (isTaken(subnet, uplink)) continue;
    const address = `${subnet}.${OUTSIDE_HOST}/24`;
    runIp(["address", "add", address, "dev", uplink]);
    if (!isTaken(subnet, uplink)) {
      runIp(["link", "set", uplink, "up"]);
      return subnet;
    }
    runIp(["address", "delete", address, "dev", uplink]);
  }
  throw new Error(`cannot find a free subnet in ${SUBNET_PREFIX}.0.0/16`);
}

function attach(hub: string, node: NetworkNode): void {
  runIp(["netns", "add", node.namespace]);
  runBatch(node.namespace, [
    "link set lo up",
    `link add eth0 type veth peer name ${node.name} netns ${hub}`,
    `address add ${node.address}/24 dev eth0`,
    "link set eth0 up",
  ]);
  runBatch(hub, [`link set ${node.name} master bridge up`]);
}

/** Whether another interface has the subnet, also one that is down. */
function isTaken(subnet: string, uplink: string): boolean {
  return runIp(["-o", "-4", "address"])
    .split("\n")
    .some((line) => line.includes(` ${subnet}.`) && !line.includes(` ${uplink} `));
}
