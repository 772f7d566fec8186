/**
 * What the VXLAN device of a node accepts. A kernel accepts frames from any sender that reaches its UDP port, with whatever is
 * in them. A filter on the device lets in IPv4 only
 *
 *   - to the device's MAC address and this node's overlay address: nothing to be forwarded, no ARP, no IPv6
 *   - from the overlay address of a member
 *   - and, where the node encrypts, of relays: nothing else that comes in clear can be trusted.
 *
 *         UDP   to a port of relays or probes, or from one to a port that links leave from
 *         TCP   to the relay's port, or from one unless it opens a connection
 *         later fragments of UDP: without the first one they get nowhere
 *
 * Outer addresses are no longer visible there: underlay-filter.ts looks at them. A stranger who forges both gets
 * as far as the relay, which asks for proof. Pure: the program is classic BPF.
 */

import { ProgramWriter } from "../../wire/classic-bpf.ts";
import { parseIp, RELAY_SOURCE_PORT_MIN } from "../../wire/index.ts";
import { macOf } from "../address-plan.ts";
import type { RelayPorts } from "../driver.ts";
import { ACCEPT_FRAME, DROP_FRAME } from "../rtnetlink/index.ts";

/** Programs have at most 4,096 operations, and the kernel dumps one in at most 32 KiB. */
export const MEMBERS_MAX = 2_000;
/** Different ones of all members; most often there is one. */
export const PORTS_MAX = 32;

export interface FilterPlan {
  /** Overlay address of this node. */
  readonly address: string;
  /** Overlay addresses, at most MEMBERS_MAX. */
  readonly members: readonly string[];
  /** null: members may send everything. */
  readonly relays: RelayFilter | null;
}

export interface RelayFilter {
  readonly own: RelayPorts;
  /** Of members, each at most PORTS_MAX. */
  readonly memberTcp: readonly number[];
  readonly memberUdp: readonly number[];
}

/** In an Ethernet frame, behind an IPv4 header without options. */
const TYPE_AT = 12;
const IP_AT = 14;
const FRAGMENT_AT = IP_AT + 6;
const PROTOCOL_AT = IP_AT + 9;
const SOURCE_AT = IP_AT + 12;
const DESTINATION_AT = IP_AT + 16;
const PORTS_AT = IP_AT + 20;
const TCP_FLAGS_AT = PORTS_AT + 13;
const IP_END = IP_AT + 20;
const UDP_END = PORTS_AT + 8;
const TCP_END = PORTS_AT + 20;

const ETHERTYPE_IPV4 = 0x0800;
const WITHOUT_OPTIONS = 0x45;
const IS_FRAGMENT = 0x3fff;
const FRAGMENT_OFFSET = 0x1fff;
const TCP = 6;
const UDP = 17;
const SYN = 0x02;
const SYN_ACK = 0x12;
/** Addresses that are compared one after the other; above that the list is halved first. */
const LEAF_MAX = 8;

/** For setIngressFilter. */
export function frameFilter({ address, members, relays }: FilterPlan): Uint8Array {
  const program = new ProgramWriter();
  writeDestination(program, address);
  if (relays !== null) writeRelays(program, relays);
  program.label("source").loadWord(SOURCE_AT);
  writeMembers(
    program,
    [...new Set(members.map(addressWord))].sort((a, b) => a - b),
    "member",
  );
  return program.label("accept").return(ACCEPT_FRAME).label("drop").return(DROP_FRAME).finish();
}

function writeDestination(program: ProgramWriter, address: string): void {
  const mac = macOf(address);
  const view = new DataView(mac.buffer, mac.byteOffset, mac.length);
  program
    .loadLength()
    .unlessAtLeast(IP_END, "drop")
    .loadHalf(TYPE_AT)
    .unlessEqual(ETHERTYPE_IPV4, "drop")
    .loadWord(0)
    .unlessEqual(view.getUint32(0), "drop")
    .loadHalf(4)
    .unlessEqual(view.getUint16(4), "drop")
    .loadByte(IP_AT)
    .unlessEqual(WITHOUT_OPTIONS, "drop")
    .loadWord(DESTINATION_AT)
    .unlessEqual(addressWord(address), "drop");
}

/** Continues at "source" or "drop". */
function writeRelays(program: ProgramWriter, { own, memberTcp, memberUdp }: RelayFilter): void {
  program.loadByte(PROTOCOL_AT).ifEqual(TCP, "tcp").unlessEqual(UDP, "drop");
  // ports are in the first eight bytes, which a later fragment cannot overwrite
  program.loadHalf(FRAGMENT_AT).and(FRAGMENT_OFFSET).unlessEqual(0, "source");
  program
    .loadLength()
    .unlessAtLeast(UDP_END, "drop")
    .loadHalf(PORTS_AT + 2);
  for (const port of own.udp) program.ifEqual(port, "source");
  program.unlessAtLeast(RELAY_SOURCE_PORT_MIN, "drop").loadHalf(PORTS_AT);
  program.ifAnyEqual(memberUdp, "source", "drop");

  // TCP does not send fragments, and a later one could overwrite the flags
  program.label("tcp").loadHalf(FRAGMENT_AT).and(IS_FRAGMENT).unlessEqual(0, "drop");
  program
    .loadLength()
    .unlessAtLeast(TCP_END, "drop")
    .loadHalf(PORTS_AT + 2);
  program.ifEqual(own.tcp, "source").loadHalf(PORTS_AT).ifAnyEqual(memberTcp, "reply", "drop");
  program.label("reply").loadByte(TCP_FLAGS_AT).and(SYN_ACK).ifEqual(SYN, "drop");
}

/** A binary search. Continues at "accept" or "drop". @param addresses ascending */
function writeMembers(program: ProgramWriter, addresses: readonly number[], label: string): void {
  program.label(label);
  if (addresses.length <= LEAF_MAX) {
    program.ifAnyEqual(addresses, "accept", "drop");
    return;
  }
  const half = addresses.length >> 1;
  program.ifGreater(addresses[half - 1]!, `${label}+`);
  writeMembers(program, addresses.slice(0, half), `${label}-`);
  writeMembers(program, addresses.slice(half), `${label}+`);
}

function addressWord(address: string): number {
  const { bytes } = parseIp(address)!;
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}
