/**
 * Keeps forged ICMP away from the paths to other nodes, and strangers' frames from a kernel's device. "Fragmentation
 * needed" and "packet too big" for a datagram that was never sent prove nothing, but a kernel believes them, for ten
 * minutes, and its VXLAN device then drops all that is larger, which can be everything of use. The overlay finds by
 * probing how large packets may be, so they are dropped where they are about other nodes, in an nf_tables table of this
 * node's own:
 *
 *     table inet portmesh4789 { set nodes4 …, nodes6 …
 *       input   icmp frag-needed,    about a packet to @nodes4, not of TCP   drop
 *               icmpv6 too-big,      about a packet to @nodes6, not of TCP   drop
 *               udp port and VNI of a kernel's device, not from a node       drop }
 *
 * The last one is for frames in clear, which a kernel accepts from any sender: here their outer addresses are still to be
 * seen (frame-filter.ts sees the inner ones). A datagram of another VNI is another device's at the same port.
 *
 * ICMP about TCP stays: the kernel compares sequence numbers. The table is gone when its socket is, however the process
 * ends, and other programs cannot flush it. Throws NetlinkError.
 */
import { NETLINK_NETFILTER } from "../../sys/netlink-socket.ts";
import { AF_INET, AF_INET6 } from "../../sys/sockaddr.ts";
import { type IpFamily, parseIp } from "../../wire/index.ts";
import {
  encodeNftBatch,
  encodeNftElements,
  encodeNftInputChain,
  encodeNftRule,
  encodeNftSet,
  encodeNftTable,
  NFT_BATCH_BEGIN,
  NFT_BATCH_END,
  NFT_DELSETELEM,
  NFT_NEWCHAIN,
  NFT_NEWRULE,
  NFT_NEWSET,
  NFT_NEWSETELEM,
  NFT_NEWTABLE,
  type NftStep,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
} from "../../wire/netlink/index.ts";
import { type NetlinkRequest, NetlinkSession } from "../rtnetlink/index.ts";

const CHAIN = "input";
const SETS = {
  4: { name: "nodes4", keyType: 7, keyBytes: 4, id: 1 },
  6: { name: "nodes6", keyType: 8, keyBytes: 16, id: 2 },
} as const;
/** Of filters; what one drops no other one brings back. */
const PRIORITY = 0;
/** Of one request, which has to fit a datagram of 64 KiB. */
const ELEMENTS_MAX = 1000;

const TCP = 6;
const UDP = 17;
const IPV4_SOURCE_AT = 12;
const IPV6_SOURCE_AT = 8;
/** Behind the beginning of the UDP header: the destination's port; and of the VXLAN header, which follows it. */
const UDP_PORT_AT = 2;
const VNI_AT = 12;
/** Of an ICMP message; the packet that it is about begins behind. */
const ICMP_BYTES = 8;
const FRAGMENTATION_NEEDED: readonly NftStep[] = [
  { do: "is-protocol", protocol: 1 },
  { do: "is", offset: 0, bytes: Uint8Array.of(3, 4) },
  { do: "is-not", offset: ICMP_BYTES + 9, bytes: Uint8Array.of(TCP) },
  { do: "is-in-set", offset: ICMP_BYTES + 16, length: 4, set: SETS[4].name },
  { do: "drop" },
];
const PACKET_TOO_BIG: readonly NftStep[] = [
  { do: "is-protocol", protocol: 58 },
  { do: "is", offset: 0, bytes: Uint8Array.of(2) },
  { do: "is-not", offset: ICMP_BYTES + 6, bytes: Uint8Array.of(TCP) },
  { do: "is-in-set", offset: ICMP_BYTES + 24, length: 16, set: SETS[6].name },
  { do: "drop" },
];

/** Frames that only the nodes may send; null: the driver checks that. */
export type FilteredFrames = { readonly port: number; readonly vni: number } | null;

export class UnderlayFilter {
  readonly #session: NetlinkSession;
  readonly #table: string;
  #addresses: ReadonlySet<string> = new Set();

  private constructor(session: NetlinkSession, table: string) {
    this.#session = session;
    this.#table = table;
  }

  /** @param table unique on the machine */
  static open(table: string, frames: FilteredFrames): UnderlayFilter {
    const session = NetlinkSession.open(NETLINK_NETFILTER);
    try {
      const filter = new UnderlayFilter(session, table);
      filter.#create(frames);
      return filter;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Literal addresses of the other nodes. */
  setNodes(addresses: ReadonlySet<string>): void {
    const before = this.#addresses;
    this.#change(NFT_NEWSETELEM, NLM_F_CREATE, [...addresses.difference(before)]);
    this.#change(NFT_DELSETELEM, 0, [...before.difference(addresses)]);
    this.#addresses = new Set(addresses);
  }

  close(): void {
    this.#session.close();
  }

  #create(frames: FilteredFrames): void {
    const table = this.#table;
    const create = (type: number, payload: Uint8Array) => ({ type, flags: NLM_F_CREATE, payload });
    const addRule = (steps: readonly NftStep[]) => {
      const payload = encodeNftRule(table, CHAIN, steps);
      return { type: NFT_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND, payload };
    };
    this.#transaction([
      create(NFT_NEWTABLE, encodeNftTable(table)),
      create(NFT_NEWSET, encodeNftSet(table, SETS[4])),
      create(NFT_NEWSET, encodeNftSet(table, SETS[6])),
      create(NFT_NEWCHAIN, encodeNftInputChain(table, CHAIN, PRIORITY)),
      addRule(FRAGMENTATION_NEEDED),
      addRule(PACKET_TOO_BIG),
      ...(frames === null ? [] : [addRule(strangersFrames(frames, 4)), addRule(strangersFrames(frames, 6))]),
    ]);
  }

  #change(type: number, flags: number, addresses: readonly string[]): void {
    const parsed = addresses.flatMap((address) => parseIp(address) ?? []);
    for (const family of [4, 6] as const) {
      const keys = parsed.filter((ip) => ip.family === family).map(({ bytes }) => bytes);
      for (let at = 0; at < keys.length; at += ELEMENTS_MAX) {
        const some = keys.slice(at, at + ELEMENTS_MAX);
        const payload = encodeNftElements(this.#table, SETS[family].name, some);
        this.#transaction([{ type, flags, payload }]);
      }
    }
  }

  /** The last request is to be answered when all is done. */
  #transaction(requests: readonly NetlinkRequest[]): void {
    const last = requests.length - 1;
    this.#session.transaction("filter ICMP about other nodes", [
      { type: NFT_BATCH_BEGIN, flags: 0, payload: encodeNftBatch() },
      ...requests.map((request, index) =>
        index === last ? { ...request, flags: request.flags | NLM_F_ACK } : request,
      ),
      { type: NFT_BATCH_END, flags: 0, payload: encodeNftBatch() },
    ]);
  }
}

function strangersFrames({ port, vni }: NonNullable<FilteredFrames>, family: IpFamily): readonly NftStep[] {
  const { name, keyBytes } = SETS[family];
  return [
    { do: "is-family", family: family === 4 ? AF_INET : AF_INET6 },
    { do: "is-protocol", protocol: UDP },
    { do: "is", offset: UDP_PORT_AT, bytes: Uint8Array.of(port >> 8, port) },
    { do: "is", offset: VNI_AT, bytes: Uint8Array.of(vni >> 16, vni >> 8, vni) },
    {
      do: "is-not-in-set",
      offset: family === 4 ? IPV4_SOURCE_AT : IPV6_SOURCE_AT,
      length: keyBytes,
      set: name,
    },
    { do: "drop" },
  ];
}
