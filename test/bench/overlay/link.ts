/**
 * Two machines on one cable, for contestants that take turns on it.
 *
 *   left 10.98.0.1 eth0 ──── veth, MTU 1500 ──── eth0 10.98.0.2 right
 *
 * As Linux makes it, a super-packet crosses the cable whole, as with network cards that segment and join. A lossy cable
 * has that turned off, for everybody alike, so that what is dropped on arrival is one datagram, never a burst;
 * the rules count packets that are longer than the MTU, and whoever measures makes sure that there were none.
 */
import {
  removeNamespaces,
  removeStale,
  runBatch,
  runIp,
  startGuard,
} from "../../support/network/namespace-lifetime.ts";
import { formatName, startTicksOf } from "../../support/network/namespace-names.ts";
import { findProgram } from "../process.ts";
import { MESSAGE_BYTE } from "../tools/message-loop.ts";

export const MTU_BYTES = 1500;
const SEGMENTATION = ["tso", "gso", "tx-udp-segmentation"];

export type Side = "left" | "right";

const ADDRESSES: Readonly<Record<Side, string>> = { left: "10.98.0.1", right: "10.98.0.2" };

export interface End {
  readonly side: Side;
  readonly namespace: string;
  readonly address: string;
  /** In front of a command it makes it run here. */
  readonly wrapper: readonly string[];
}

/** What arrived at one end since its loss was set. */
export interface Arrivals {
  readonly arrived: number;
  readonly lost: number;
  /** Longer than the MTU: several datagrams in one. */
  readonly oversized: number;
}

export class Link {
  /** No name is used twice: the guard of a link that is gone may still be removing its namespaces. */
  static #created = 0;
  readonly left: End;
  readonly right: End;
  /** What a new namespace has, and the cable. */
  #devices: ReadonlySet<string> = new Set();
  readonly #guard: Bun.Subprocess<"pipe", "ignore", "ignore">;

  private constructor(network: number) {
    [this.left, this.right] = [makeEnd("left", network), makeEnd("right", network)];
    this.#guard = startGuard([this.left.namespace, this.right.namespace]);
  }

  /** Needs root. */
  static create(): Link {
    removeStale();
    const link = new Link(Link.#created++);
    try {
      link.#connect();
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  get ends(): readonly [End, End] {
    return [this.left, this.right];
  }

  /** So many of a thousand IPv4 packets are dropped where they arrive, at both ends; 0 is a cable in order. */
  setLoss(perMille: number): void {
    for (const end of this.ends) {
      const segmentation = SEGMENTATION.flatMap((feature) => [feature, perMille > 0 ? "off" : "on"]);
      runIn(end, ["ethtool", "-K", "eth0", ...segmentation, "gro", "off"]);
      runIn(end, ["nft", "-f", "-"], rules("loss", perMille > 0 ? lossRules(perMille) : ""));
    }
  }

  /** Only while there is a loss. */
  arrivals(end: End): Arrivals {
    return countersOf(end, "loss") as unknown as Arrivals;
  }

  /** From now on packets are counted that carry messages of the exchange so that they can be read. */
  watchText(): void {
    for (const end of this.ends) runIn(end, ["nft", "-f", "-"], rules("text", TEXT_RULES));
  }

  /** At both ends, since watchText(), which ends. */
  readablePackets(): number {
    const counts = this.ends.map((end) => countersOf(end, "text").readable!);
    for (const end of this.ends) runIn(end, ["nft", "-f", "-"], rules("text", ""));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** A cable in order, and nothing left of whoever had it: no devices but its own. */
  reset(): void {
    this.setLoss(0);
    for (const end of this.ends) {
      const foreign = devicesOf(end).filter((name) => !this.#devices.has(name));
      for (const name of foreign) runIn(end, ["ip", "link", "delete", name]);
    }
  }

  /** Ends what still runs at its ends, and removes them; synchronous, for exit handlers. */
  close(): void {
    removeNamespaces([this.left.namespace, this.right.namespace]);
    this.#guard.stdin.end();
  }

  #connect(): void {
    const [left, right] = [this.left.namespace, this.right.namespace];
    for (const { namespace } of this.ends) runIp(["netns", "add", namespace]);
    runIp(["-n", left, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", right]);
    for (const { namespace, address } of this.ends) {
      runBatch(namespace, [
        "link set lo up",
        `address add ${address}/24 dev eth0`,
        `link set eth0 mtu ${MTU_BYTES} up`,
      ]);
    }
    this.#devices = new Set(devicesOf(this.left));
  }
}

/** Runs a program to its end and gives what it printed. @throws Error with what it complained of */
export function runIn(end: End, command: readonly string[], input = ""): string {
  const [program, ...args] = command;
  const path = findProgram(program!);
  if (path === undefined) throw new Error(`${program} is not installed`);
  const run = Bun.spawnSync([...end.wrapper, path, ...args], { stdin: Buffer.from(input), stderr: "pipe" });
  if (run.exitCode === 0) return run.stdout.toString();
  throw new Error(`${command.join(" ")} ended with ${run.exitCode}: ${run.stderr}${run.stdout}`);
}

function devicesOf(end: End): string[] {
  const devices = JSON.parse(runIn(end, ["ip", "-j", "link"])) as readonly { ifname: string }[];
  return devices.map(({ ifname }) => ifname);
}

function makeEnd(side: Side, network: number): End {
  const namespace = formatName({
    pid: process.pid,
    startTicks: startTicksOf(process.pid)!,
    network,
    node: side,
  });
  const wrapper = [findProgram("ip")!, "netns", "exec", namespace];
  return { side, namespace, address: ADDRESSES[side], wrapper };
}

function countersOf(end: End, table: string): Record<string, number> {
  const { nftables } = JSON.parse(
    runIn(end, ["nft", "-j", "list", "counters", "table", "netdev", table]),
  ) as {
    nftables: { counter?: { name: string; packets: number } }[];
  };
  return Object.fromEntries(
    nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])),
  );
}

/** A table is named before it is deleted, because deleting one that is not there is an error. */
function rules(table: string, body: string): string {
  const clean = `table netdev ${table}\ndelete table netdev ${table}\n`;
  return body === "" ? clean : `${clean}table netdev ${table} {\n${body}}\n`;
}

function lossRules(perMille: number): string {
  return `
  counter arrived {}
  counter lost {}
  counter oversized {}
  chain arriving {
    type filter hook ingress device eth0 priority 0; policy accept;
    meta protocol != ip accept
    counter name arrived
    meta length > ${MTU_BYTES} counter name oversized
    numgen random mod 1000 < ${perMille} counter name lost drop
  }
`;
}

/** 200 bytes into TCP or UDP all headers are over, also those inside of VXLAN. */
const TEXT_RULES = `
  counter readable {}
  chain arriving {
    type filter hook ingress device eth0 priority 1; policy accept;
    ip protocol { tcp, udp } @th,1600,64 0x${MESSAGE_BYTE.toString(16).repeat(8)} counter name readable
  }
`;
