/**
 * Tries every port of another node that the configuration needs: a connection, a question that is answered, a datagram
 * whose arrival the other node reports. All at once; it takes as long as the slowest.
 */

import type { ConnectionTrialOptions } from "../../sys/connection-trial.ts";
import type { DatagramTrial, DatagramTrialOptions } from "../../sys/datagram-trial.ts";
import { RELAY_SOURCE_PORT_MAX, RELAY_SOURCE_PORT_MIN } from "../../wire/index.ts";
import { MAX_TIMEOUT_MS, MIN_TIMEOUT_MS, type Outcome, type Trial } from "./message.ts";
import type { RelayHello } from "./relay-hello.ts";

/** When datagrams are sent, as parts of the time there is: some may get lost, and the other node has to be ready. */
const SEND_AT = [0, 0.15, 0.4, 0.7];
/** A connection takes one, a repeated datagram two. */
const ROUND_TRIPS = 4;
const ROUND_TRIP_MARGIN_MS = 1_000;
const LOOK_MS = 20;

/** Another node, as far as its ports are concerned. */
export interface TestedPeer {
  readonly name: string;
  /** Where it gossips. */
  readonly address: string;
  readonly gossipPort: number;
  /** null: never measured. */
  readonly rttMs: number | null;
  /** false: another member of the memberlist protocol. */
  readonly isPortmesh: boolean;
  /** Where it takes relays at its own address; null: it has not said. */
  readonly relay: { readonly address: string; readonly port: number } | null;
  /** Where datagrams of relays go now; null: nowhere. */
  readonly udpRelay: { readonly address: string; readonly port: number; readonly isSealed: boolean } | null;
  /** null: the two have no overlay in common. */
  readonly overlay: {
    readonly underlayAddress: string;
    readonly port: number;
    readonly address: string;
    readonly echoPort: number;
  } | null;
}

type At<Options> = Omit<Options, "address" | "localAddress"> & { readonly host: string };
export type ConnectionTry = At<ConnectionTrialOptions>;
export type DatagramTry = At<DatagramTrialOptions>;

export interface TrialNetwork {
  readonly tryConnection: (options: ConnectionTry) => Promise<string | null>;
  readonly tryDatagrams: (options: DatagramTry) => Promise<DatagramTrial>;
  /** A ping with a mark in one datagram, to be sent from a port of its own, and what its ack looks like. */
  readonly freshMark: (peer: TestedPeer, run: string) => Pick<DatagramTrialOptions, "request" | "isAnswer">;
  /** false: the gossip port is of another family than the address. */
  readonly canGossipTo: (address: string) => boolean;
  /** A mark from the gossip port. */
  readonly sendMark: (peer: TestedPeer, run: string) => void;
  readonly relayHello: (peer: TestedPeer) => RelayHello;
  readonly probeEcho: (peer: string) => void;
  /** When an answer over the overlay came last, in the time of `nowMs`; null: never. */
  readonly echoAnsweredMs: (peer: string) => number | null;
  readonly nowMs: () => number;
  readonly wait: (ms: number) => Promise<void>;
}

/** One that has not been measured may be far away. */
export function timeoutMsOf({ rttMs }: Pick<TestedPeer, "rttMs">): number {
  if (rttMs === null) return MAX_TIMEOUT_MS;
  const wantedMs = ROUND_TRIP_MARGIN_MS + ROUND_TRIPS * rttMs;
  return Math.min(Math.max(wantedMs, MIN_TIMEOUT_MS), MAX_TIMEOUT_MS);
}

export async function runTrials(
  peer: TestedPeer,
  run: string,
  timeoutMs: number,
  network: TrialNetwork,
): Promise<Trial[]> {
  const trials = new PeerTrials(peer, run, network, timeoutMs);
  return (await Promise.all(trials.begin())).sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

const ORDER: readonly Trial["kind"][] = ["gossip", "relay", "overlay", "echo"];

class PeerTrials {
  readonly #sendAtMs: readonly number[];

  constructor(
    readonly peer: TestedPeer,
    readonly run: string,
    readonly network: TrialNetwork,
    readonly timeoutMs: number,
  ) {
    this.#sendAtMs = SEND_AT.map((part) => part * timeoutMs);
  }

  begin(): Promise<Trial>[] {
    const { address, gossipPort, relay, overlay } = this.peer;
    return [
      this.#connect("gossip", address, gossipPort, false),
      this.#gossipDatagram(),
      ...(relay === null ? [] : [this.#connect("relay", relay.address, relay.port, false)]),
      ...(relay === null || overlay === null
        ? []
        : [this.#connect("relay", overlay.address, relay.port, true), this.#echo(overlay)]),
      ...(this.peer.udpRelay === null ? [] : [this.#relayDatagram(this.peer.udpRelay)]),
    ];
  }

  async #connect(kind: "gossip" | "relay", host: string, port: number, isInside: boolean): Promise<Trial> {
    const { timeoutMs } = this;
    const error = await this.network.tryConnection({ host, port, timeoutMs });
    const outcome = error === null ? "open" : (failureOf(error) ?? "silent");
    return { kind, protocol: "tcp", port, address: host, isInside, outcome };
  }

  async #gossipDatagram(): Promise<Trial> {
    const { peer, run, network, timeoutMs } = this;
    const { address, gossipPort: port } = peer;
    const trial = { kind: "gossip", protocol: "udp", port, address, isInside: false } as const;
    if (!network.canGossipTo(address)) return { ...trial, outcome: "no-route" };
    const mark = network.freshMark(peer, run);
    if (peer.isPortmesh) void this.#repeat(() => network.sendMark(peer, run));
    const result = await network.tryDatagrams({
      host: address,
      port,
      localPorts: null,
      sendAtMs: this.#sendAtMs,
      timeoutMs,
      ...mark,
    });
    const unanswered = failureOf(result.error) ?? (peer.isPortmesh ? "sent" : "silent");
    return { ...trial, outcome: result.isAnswered ? "open" : unanswered };
  }

  async #relayDatagram({ address, port }: NonNullable<TestedPeer["udpRelay"]>): Promise<Trial> {
    const { peer, network, timeoutMs } = this;
    const sendAtMs = this.#sendAtMs;
    const hello = network.relayHello(peer);
    const from = { localPorts: [RELAY_SOURCE_PORT_MIN, RELAY_SOURCE_PORT_MAX] } as const; // as links do
    const result = await network.tryDatagrams({
      host: address,
      port,
      sendAtMs,
      timeoutMs,
      ...from,
      ...hello,
    });
    const outcome = result.isAnswered ? "open" : (failureOf(result.error) ?? "silent");
    const isInside = address === peer.overlay?.address;
    return { kind: "relay", protocol: "udp", port, address, isInside, outcome };
  }

  async #echo({ underlayAddress, port }: NonNullable<TestedPeer["overlay"]>): Promise<Trial> {
    const { peer, network } = this;
    const startMs = network.nowMs();
    const isAnswered = () => (network.echoAnsweredMs(peer.name) ?? Number.NEGATIVE_INFINITY) >= startMs;
    await this.#repeat(() => network.probeEcho(peer.name), isAnswered);
    const outcome = isAnswered() ? "open" : "sent";
    return { kind: "overlay", protocol: "udp", port, address: underlayAddress, isInside: false, outcome };
  }

  /** At its times, until it is enough or the time is over. */
  async #repeat(send: () => void, isEnough: () => boolean = () => false): Promise<void> {
    const { network, timeoutMs } = this;
    const startMs = network.nowMs();
    let sent = 0;
    while (network.nowMs() - startMs < timeoutMs && !isEnough()) {
      const elapsedMs = network.nowMs() - startMs;
      if (sent < this.#sendAtMs.length && elapsedMs >= this.#sendAtMs[sent]!) {
        send();
        sent++;
      }
      await network.wait(LOOK_MS);
    }
  }
}

/** null: no error says why nothing came. */
function failureOf(error: string | null): Outcome | null {
  switch (error) {
    case "ECONNREFUSED":
    case "ECONNRESET":
      return "refused";
    case "EHOSTUNREACH":
      return "unreachable";
    case "EPERM":
    case "EACCES":
      return "not-sent";
    case "ENETUNREACH":
    case "EAFNOSUPPORT":
    case "EADDRNOTAVAIL":
    case "EINVAL":
      return "no-route";
    default:
      return null;
  }
}
