/**
 * The flows of a machine of a test network: what begins at it or comes to it, by whom, to which port. Replies belong to
 * their flow, and so do ICMP errors. Packets that TUN hands to a program and VXLAN carries are seen on the device; ARP in
 * VXLAN is of no device then, and looked for in the frames.
 */

import { findProgram } from "../os/require-program.ts";
import type { NetworkNode } from "./network-node.ts";
import { PacketCapture } from "./packet-capture.ts";

export interface Flow {
  /** "7946/tcp", "arp", "icmpv6 135", "ip protocol 4" */
  readonly what: string;
  readonly direction: "in" | "out";
  /** Name of the interface; VXLAN: of none. */
  readonly device: string;
  /** Of the other end; "" without IP. */
  readonly address: string;
}

/** Of frames in VXLAN the first is that of the outer packet, but inner packets are IPv4 and outer ones may be IPv6. */
const FIELDS = [
  "sll.ifindex",
  "sll.pkttype",
  "ip.src",
  "ip.dst",
  "ipv6.src",
  "ipv6.dst",
  "ip.proto",
  "ipv6.nxt",
  "icmp.type",
  "icmpv6.type",
  "vxlan.vni",
  "arp.opcode",
  "tcp.srcport",
  "tcp.dstport",
  "tcp.flags",
  "udp.srcport",
  "udp.dstport",
] as const;
type Packet = Record<(typeof FIELDS)[number], string>;

const VXLAN = "VXLAN";
/** Of every test's overlay. */
const VNI = "4096";
/** What Linux calls packets that leave. [packet(7): PACKET_OUTGOING] */
const OUTGOING = "4";
const SYN = 0x02;
const SYN_ACK = 0x12;
/** Destination unreachable, time exceeded and the like. */
const ICMP_ERRORS = ["3", "4", "5", "11", "12"];
const ICMPV6_ERRORS = ["1", "2", "3", "4"];
/** Of any machine with IPv6, with a node or without: router solicitations, multicast listeners. */
const ICMPV6_OF_THE_MACHINE = ["133", "143"];

export class FlowCapture {
  readonly #capture: PacketCapture;

  private constructor(capture: PacketCapture) {
    this.#capture = capture;
  }

  static async start(machine: NetworkNode): Promise<FlowCapture> {
    return new FlowCapture(await PacketCapture.start(machine, "any"));
  }

  /** Ends it. Devices are those that the machine has now. */
  async flows(): Promise<Flow[]> {
    const devices = await devicesOf(this.#capture.machine);
    await this.#capture.stop();
    try {
      return flowsOf(await packetsIn(this.#capture.file), devices);
    } finally {
      this.#capture.remove();
    }
  }
}

/** By index. */
async function devicesOf(machine: NetworkNode): Promise<Map<string, string>> {
  const links: { ifindex: number; ifname: string }[] = JSON.parse(await machine.run("ip", "-j", "link"));
  return new Map(links.map(({ ifindex, ifname }) => [String(ifindex), ifname]));
}

async function packetsIn(file: string): Promise<Packet[]> {
  const fields = FIELDS.flatMap((field) => ["-e", field]);
  const options = ["-n", "-T", "fields", "-E", "occurrence=f"];
  const tshark = Bun.spawn([findProgram("tshark")!, "-r", file, ...options, ...fields], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = (await tshark.stdout.text()).split("\n").filter((line) => line !== "");
  if ((await tshark.exited) !== 0) throw new Error(`tshark ended with ${tshark.exitCode}`);
  return lines.map((line) => {
    const values = line.split("\t");
    return Object.fromEntries(FIELDS.map((field, index) => [field, values[index] ?? ""])) as Packet;
  });
}

function flowsOf(packets: readonly Packet[], devices: ReadonlyMap<string, string>): Flow[] {
  const begun = new Set<string>();
  return packets.flatMap((packet): Flow[] => {
    const device = devices.get(packet["sll.ifindex"]) ?? "?";
    const isOut = packet["sll.pkttype"] === OUTGOING;
    const source = packet["ipv6.src"] || packet["ip.src"];
    const destination = packet["ipv6.dst"] || packet["ip.dst"];
    const what = whatOf(packet);
    if (device === "lo" || what === null || isReply(packet, device, begun)) return [];
    const direction = isOut ? "out" : "in";
    const flow: Flow = { what, direction, device, address: isOut ? destination : source };
    const hasArp = isVxlan(packet) && packet["arp.opcode"] !== "";
    return hasArp ? [flow, { what: "arp", direction, device: VXLAN, address: "" }] : [flow];
  });
}

/** Of UDP: what has begun before, whichever end it was. Where both ends have the same port neither answers the other. */
function isReply(packet: Packet, device: string, begun: Set<string>): boolean {
  const [sourcePort, destinationPort] = [packet["udp.srcport"], packet["udp.dstport"]];
  if (sourcePort === "") return false;
  const source = packet["ipv6.src"] || packet["ip.src"];
  const destination = packet["ipv6.dst"] || packet["ip.dst"];
  const ends = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`];
  if (sourcePort !== destinationPort) ends.sort();
  const flow = `${device} ${ends.join(" ")} ${packet["arp.opcode"]}`;
  if (begun.has(flow)) return true;
  begun.add(flow);
  return false;
}

/** Sealed frames at the port are taken for VXLAN by tshark too, of any network. */
function isVxlan(packet: Packet): boolean {
  return packet["vxlan.vni"] === VNI;
}

/** null: it begins nothing. */
function whatOf(packet: Packet): string | null {
  if (packet["vxlan.vni"] !== "") return `${packet["udp.dstport"]}/udp`;
  if (packet["arp.opcode"] !== "") return "arp";
  if (packet["icmpv6.type"] !== "") {
    const type = packet["icmpv6.type"];
    return [...ICMPV6_ERRORS, ...ICMPV6_OF_THE_MACHINE].includes(type) ? null : `icmpv6 ${type}`;
  }
  if (packet["icmp.type"] !== "")
    return ICMP_ERRORS.includes(packet["icmp.type"]) ? null : `icmp ${packet["icmp.type"]}`;
  if (packet["tcp.dstport"] !== "")
    return (Number(packet["tcp.flags"]) & SYN_ACK) === SYN ? `${packet["tcp.dstport"]}/tcp` : null;
  if (packet["udp.dstport"] !== "") return `${packet["udp.dstport"]}/udp`;
  // fragments of UDP but for the first have no ports
  const protocol = packet["ip.proto"] || packet["ipv6.nxt"];
  return protocol === "17" || protocol === "44" ? null : `ip protocol ${protocol}`;
}
