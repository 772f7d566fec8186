/** Another node, as this worker reaches its relay. The same object as long as its address and port are the same. */
import { SOCKADDR_MAX, writeSockaddr } from "../../sys/sockaddr.ts";
import { parseIp } from "../../wire/index.ts";
import { ConnectTime } from "./connect-time.ts";
import {
  P_ANSWERS,
  P_FAILURES,
  P_RTT_MS,
  P_SILENT_LOOKS,
  PEER_FIELDS,
  type SharedCounters,
  sumRows,
} from "./counters.ts";
import type { WorkerPeer } from "./worker-messages.ts";

/** A peer whose relay failed is tried again after so long; doubled for every failure in a row. */
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;

export class RelayPeer {
  readonly name: string;
  readonly sockaddr = new Uint8Array(SOCKADDR_MAX);
  readonly udpSockaddr = new Uint8Array(SOCKADDR_MAX);
  readonly sockaddrLength: number;
  /** Source address for it, with port 0; null: any. */
  readonly sourceSockaddr: Uint8Array | null;
  /** AF_INET or AF_INET6 */
  readonly family: number;
  readonly isSealed: boolean;
  readonly path: "overlay" | "direct";
  /** This worker's own experience. */
  failingUntilMs = 0;
  #lateUntilMs = 0;
  #failuresInRow = 0;
  /** From a connect to the greeting. */
  readonly #openTime = new ConnectTime();
  /** The row of the worker with the heartbeat, which all read, and this worker's own. */
  readonly #shared: Float64Array;
  readonly #row: Float64Array;
  readonly #at: number;

  constructor(
    readonly peer: WorkerPeer,
    readonly counters: SharedCounters,
    worker: number,
  ) {
    this.name = peer.name;
    this.isSealed = peer.isSealed;
    this.path = peer.isOverlay === true ? "overlay" : "direct";
    const address = parseIp(peer.address)!.bytes;
    this.sockaddrLength = writeSockaddr(this.sockaddr, 0, address, peer.port);
    writeSockaddr(this.udpSockaddr, 0, address, peer.udpPort);
    this.family = this.sockaddr[0]!;
    this.sourceSockaddr = peer.source === undefined ? null : sourceOf(peer.source, this.family);
    this.#shared = counters.peers[0]!;
    this.#row = counters.peers[worker]!;
    this.#at = peer.slot * PEER_FIELDS;
  }

  /** false: its heartbeat has stopped; its tasks are passed over while there are others. */
  get isReachable(): boolean {
    return this.#shared[this.#at + P_SILENT_LOOKS] === 0;
  }

  /** Refused or broken: there is no need to wait. Only the worker with the heartbeat calls this. */
  onLost(): void {
    if (this.isReachable) this.onSilent();
  }

  /** Another check has found it silent. Only the worker with the heartbeat calls this. */
  onSilent(): void {
    this.#shared[this.#at + P_SILENT_LOOKS]!++;
  }

  /** Its tasks are passed over until then; Infinity would mean never, even with no other left. */
  get avoidUntilMs(): number {
    return this.isReachable ? Math.max(this.failingUntilMs, this.#lateUntilMs) : Number.MAX_VALUE;
  }

  /** Of the last heartbeat; 0: there has been none. */
  get rttMs(): number {
    return this.#shared[this.#at + P_RTT_MS]!;
  }

  onHeartbeat(rttMs: number): void {
    this.#shared[this.#at + P_RTT_MS] = rttMs;
    this.onHeard();
  }

  /** Only the worker with the heartbeat calls this. */
  onHeard(): void {
    this.#shared[this.#at + P_SILENT_LOOKS] = 0;
  }

  /** Greetings and answers of its relay, over all workers. */
  answers(): number {
    return sumRows(this.counters.peers, this.#at + P_ANSWERS);
  }

  /** Within which most connections to its relay are ready, with what has to be sent again. */
  get openTimeoutMs(): number {
    return this.#openTime.timeoutMs;
  }

  /** A connection to its relay is ready after so long. */
  onOpened(tookMs: number, nowMs: number): void {
    this.#openTime.add(tookMs, nowMs);
    this.#row[this.#at + P_ANSWERS]!++;
  }

  /** Its relay has answered, whatever the result for the task. */
  onAnswered(): void {
    this.#row[this.#at + P_ANSWERS]!++;
    this.#failuresInRow = 0;
    this.failingUntilMs = 0;
    this.#lateUntilMs = 0;
  }

  /** The relay has not answered in time on a new connection, and still may: no failure. */
  onLate(nowMs: number): void {
    this.#lateUntilMs = nowMs + FIRST_PAUSE_MS;
  }

  /** The relay did not accept a connection, or did not answer on it. Concurrent failures count once. */
  onFailed(nowMs: number): void {
    this.#row[this.#at + P_FAILURES]!++;
    if (nowMs < this.failingUntilMs) return;
    this.failingUntilMs = nowMs + Math.min(FIRST_PAUSE_MS * 2 ** this.#failuresInRow++, MAX_PAUSE_MS);
  }
}

/** null: it is of another family. */
function sourceOf(source: string, family: number): Uint8Array | null {
  const sockaddr = new Uint8Array(SOCKADDR_MAX);
  writeSockaddr(sockaddr, 0, parseIp(source)!.bytes, 0);
  return sockaddr[0] === family ? sockaddr : null;
}

export type RelayPeers = ReadonlyMap<string, RelayPeer>;

/** By name; those that have not changed are taken over. */
export function peersOf(
  peers: readonly WorkerPeer[],
  before: RelayPeers,
  counters: SharedCounters,
  worker: number,
): RelayPeers {
  return new Map(
    peers.map((peer) => {
      const known = before.get(peer.name);
      const isSame = known !== undefined && isReachedAs(known.peer, peer);
      return [peer.name, isSame ? known : new RelayPeer(peer, counters, worker)];
    }),
  );
}

function isReachedAs(before: WorkerPeer, peer: WorkerPeer): boolean {
  const { address, port, udpPort, isSealed, isOverlay, source, isWan } = peer;
  return (
    before.source === source &&
    before.address === address &&
    before.port === port &&
    before.udpPort === udpPort &&
    before.isSealed === isSealed &&
    before.isOverlay === isOverlay &&
    before.isWan === isWan
  );
}
