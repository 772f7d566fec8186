/** The tests of ports (port-test/) with what a node has of others: its gossip, their records, its overlay. */
import type { NodeRecord } from "../../catalog/index.ts";
import type { Config } from "../../config/index.ts";
import type { Member } from "../../membership/index.ts";
import { type Clock, pause } from "../../sys/clock.ts";
import { tryConnection } from "../../sys/connection-trial.ts";
import { tryDatagrams } from "../../sys/datagram-trial.ts";
import { randomBytes } from "../../sys/random.ts";
import { parseIp } from "../../wire/index.ts";
import { type OverlayFacts, reachOf } from "../facts/overlay-facts.ts";
import { relayKeys } from "../facts/relay-keys.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { encodePortTest } from "../port-test/message.ts";
import { PortTester, type StreamAnswer } from "../port-test/port-tester.ts";
import { relayHello } from "../port-test/relay-hello.ts";
import type { TestedPeer, TrialNetwork } from "../port-test/trials.ts";
import { addressOf, hostOf } from "./address.ts";
import type { Gossip } from "./gossip.ts";
import type { Members } from "./members.ts";

/** Of pings of a test: those of membership count up from 0. */
const PING_SEQ_MIN = 2 ** 31;

export interface PortTestParts {
  readonly self: string;
  readonly config: () => Config;
  /** Of the times that the overlay gives, too. */
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
  /** null while the node has not joined its cluster. */
  readonly members: () => Members | null;
  readonly nodes: () => ReadonlyMap<string, NodeRecord>;
  readonly overlay: Overlay | null;
  /** Literal address of this machine that gossip and relays leave from; null: any. */
  readonly source: () => string | null;
}

export function newPortTester(parts: PortTestParts): PortTester {
  const { self, clock, config, members, overlay } = parts;
  const gossip = () => members()?.gossip ?? null;
  const hasKeys = () => (config().cluster?.keys.length ?? 0) > 0;
  const to = (peer: TestedPeer) => addressOf(peer.address, peer.gossipPort)!;
  return new PortTester({
    self,
    hasKeys,
    peer: (name) => {
      const member = members()?.member(name) ?? null;
      return member === null || name === self ? null : testedPeer(member, parts, overlay?.facts ?? null);
    },
    peers: () => testedPeers(parts),
    problems: () => overlay?.problems.map(({ message }) => message) ?? [],
    ask: (peer, payload, timeoutMs) =>
      gossip()?.ask(to(peer), payload, timeoutMs) ?? Promise.resolve(UNREACHED),
    sendReliably: async (peer, payload) => (await gossip()?.sendReliably(to(peer), payload)) ?? null,
    sendDatagram: (peer, payload) => gossip()?.sendDatagram(to(peer), payload),
    echoHeardMs: (node) => overlay?.heard(node)?.probeMs ?? null,
    network: networkOf(parts, gossip),
    random: randomBytes,
    clock,
  });
}

const UNREACHED: StreamAnswer = { payload: null, failure: "unreached" };

function testedPeers(parts: PortTestParts): TestedPeer[] {
  const members = parts.members()?.members() ?? [];
  const facts = parts.overlay?.facts ?? null;
  return members
    .filter(({ name, state }) => name !== parts.self && state !== "left")
    .map((member) => testedPeer(member, parts, facts));
}

function testedPeer(
  member: Member,
  { nodes, overlay }: PortTestParts,
  facts: OverlayFacts | null,
): TestedPeer {
  const { name, address, rttMs, isPortmesh } = member;
  const node = nodes().get(name);
  const reach = node === undefined || facts === null ? null : reachOf(name, node, facts);
  return {
    name,
    address: hostOf(address),
    gossipPort: address.port,
    rttMs,
    isPortmesh,
    relay: node?.relay ?? null,
    udpRelay:
      reach === null ? null : { address: reach.address, port: reach.udpPort, isSealed: reach.isSealed },
    overlay: overlay?.endOf(name) ?? null,
  };
}

function networkOf(
  { self, clock, random, config, overlay, source }: PortTestParts,
  gossip: () => Gossip | null,
): TrialNetwork {
  /** From where gossip and relays do. */
  const addresses = (host: string) => {
    const address = parseIp(host)!.bytes;
    const from = overlay?.isInside(host) === true ? null : source();
    const localAddress = from === null ? null : (parseIp(from)?.bytes ?? null);
    return { address, localAddress: localAddress?.length === address.length ? localAddress : null };
  };
  return {
    tryConnection: ({ host, ...options }) => tryConnection({ ...options, ...addresses(host) }),
    tryDatagrams: ({ host, ...options }) => tryDatagrams({ ...options, ...addresses(host) }),
    canGossipTo: (address) => {
      const bound = config().cluster?.bind.host ?? "";
      return bound.includes(":") || !address.includes(":"); // of IPv6 it takes IPv4 too
    },
    freshMark: (peer, run) => {
      const seq = PING_SEQ_MIN + Math.floor(random() * PING_SEQ_MIN);
      const mark = encodePortTest({ type: "mark", from: self, run, isFresh: true });
      const ping = { type: "ping", seq, node: peer.name, source: null } as const;
      const said = peer.isPortmesh ? [ping, { type: "user", payload: mark } as const] : [ping];
      return {
        request: gossip()?.datagramOf(said) ?? new Uint8Array(),
        isAnswer: (bytes) => gossip()?.isAck(bytes, seq) === true,
      };
    },
    sendMark: (peer, run) => {
      const mark = encodePortTest({ type: "mark", from: self, run, isFresh: false });
      gossip()?.sendDatagram(addressOf(peer.address, peer.gossipPort)!, mark);
    },
    relayHello: (peer) => {
      const { keys, name } = config().cluster!;
      return relayHello({
        entryNode: self,
        exitNode: peer.name,
        relayKey: Uint8Array.fromHex(relayKeys(keys, name)[0]!),
        isSealed: peer.udpRelay?.isSealed === true,
        random: randomBytes,
      });
    },
    probeEcho: (peer) => overlay?.probe(peer),
    echoAnsweredMs: (peer) => overlay?.heard(peer)?.answerMs ?? null,
    nowMs: () => clock.nowMs(),
    wait: (ms) => pause(clock, ms),
  };
}
