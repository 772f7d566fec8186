/**
 * Probes the paths to all peers of a node, and answers theirs (echo.ts says how). It has a clock and a way to send;
 * another part owns the socket.
 *
 * Replies go to the known overlay address of a peer, whatever a datagram says, and are as short as possible;
 * other hosts get none. [RFC 8899 §6.1: probes of their own, with a token, over UDP]
 */
import type { Clock } from "../../sys/clock.ts";
import type { Datagram, DatagramFate } from "../../sys/datagram-socket.ts";
import { parseIp } from "../../wire/index.ts";
import {
  decodeEcho,
  ECHO_ANSWER,
  ECHO_BYTES,
  ECHO_HEADERS_BYTES,
  ECHO_PROBE,
  type Echo,
  encodeEcho,
} from "./echo.ts";
import { type EchoHeard, EchoPeer, type EchoPeerEnd, type PathReport } from "./echo-peer.ts";
import type { Probe } from "./path-probe.ts";

const MAX_PAYLOAD_BYTES = 65_507;
const MAX_ID = 2 ** 31;
/** Timers are not finer, and probes that are due soon may go with those that are due. */
const MIN_WAIT_MS = 5;

export interface EchoExchangeOptions {
  /** This node's overlay address, IPv4. */
  readonly address: string;
  /** Bytes of the largest inner packet that the overlay device takes. */
  readonly deviceMtu: number;
  /** RUN_BYTES of random. */
  readonly run: Uint8Array;
  readonly clock: Clock;
  readonly random: () => number;
  /** Whole, to another overlay address; the bytes are the caller's again on return. */
  readonly send: (bytes: Uint8Array, host: string, port: number) => DatagramFate;
  /** The largest inner packet to the peer has become known or has changed, or the peer has come or gone. */
  readonly onChange: (peerName: string, mtu: number) => void;
}

/** Datagrams; those dropped by why. */
export interface EchoCounts {
  probesSent: number;
  answersSent: number;
  answersReceived: number;
  droppedMalformed: number;
  /** From no peer's overlay address and port. */
  droppedStranger: number;
  /** Without the pair's tag, or in another's name. */
  droppedUnauthentic: number;
  /** More probes than a peer has reason to send. */
  droppedExcess: number;
  /** Answers to what was not asked, or was answered, or was given up long ago. */
  droppedStale: number;
}

export class EchoExchange {
  readonly counts: EchoCounts = {
    probesSent: 0,
    answersSent: 0,
    answersReceived: 0,
    droppedMalformed: 0,
    droppedStranger: 0,
    droppedUnauthentic: 0,
    droppedExcess: 0,
    droppedStale: 0,
  };
  readonly #options: EchoExchangeOptions;
  readonly #sender: Uint8Array;
  /** by name and by overlay address; bounded by the members of the cluster */
  readonly #peers = new Map<string, EchoPeer>();
  readonly #peersByAddress = new Map<string, EchoPeer>();
  /** Behind its head it stays zero. */
  readonly #buffer = new Uint8Array(MAX_PAYLOAD_BYTES);
  #deviceMtu: number;
  #wakeMs = Number.POSITIVE_INFINITY;
  #cancelWake = () => {};

  constructor(options: EchoExchangeOptions) {
    this.#options = options;
    this.#sender = parseIp(options.address)!.bytes;
    this.#deviceMtu = options.deviceMtu;
  }

  /** Replaces all peers. Those that stay keep what is known of their paths. */
  setPeers(ends: readonly EchoPeerEnd[]): void {
    const before = new Map(this.#peers);
    this.#peers.clear();
    this.#peersByAddress.clear();
    for (const end of ends) {
      const known = before.get(end.name);
      const peer = known?.follow(end) ? known : new EchoPeer(end, this.#deviceMtu, this.#options.random);
      this.#peers.set(end.name, peer);
      this.#peersByAddress.set(end.overlayAddress, peer);
    }
    this.#run();
  }

  /** Peers, by name, that this node relays to. They, and those that relay to this node, are probed often. */
  setActive(names: ReadonlySet<string>): void {
    for (const [name, peer] of this.#peers) {
      const isUsedHere = names.has(name);
      if (isUsedHere === peer.isUsedHere) continue;
      peer.isUsedHere = isUsedHere;
      this.#serve(peer);
    }
  }

  /** The overlay device's own MTU has changed. */
  setDeviceMtu(mtu: number): void {
    this.#deviceMtu = mtu;
    const nowMs = this.#options.clock.nowMs();
    for (const peer of this.#peers.values()) peer.path.onLocalMtu(mtu + peer.end.overheadBytes, nowMs);
    this.#run();
  }

  /** null: no such peer. */
  report(peerName: string): PathReport | null {
    return this.#peers.get(peerName)?.report ?? null;
  }

  /** null: no such peer. */
  heard(peerName: string): EchoHeard | null {
    return this.#peers.get(peerName)?.heard ?? null;
  }

  /** One more probe, as small as possible, besides those of the path's own schedule: `heard` shows the reply. */
  probe(peerName: string): void {
    const peer = this.#peers.get(peerName);
    if (peer === undefined) return;
    const { run, random } = this.#options;
    const id = Math.floor(random() * MAX_ID);
    const size = ECHO_BYTES + ECHO_HEADERS_BYTES;
    const isInUse = peer.isUsedHere;
    const echo: Echo = { type: ECHO_PROBE, size, id, isInUse, run, sender: this.#sender };
    if (this.#send(peer, echo, ECHO_BYTES) === "sent") this.counts.probesSent++;
  }

  /** A datagram has come to this node's overlay address. */
  onDatagram({ bytes, host, port }: Datagram): void {
    const peer = this.#peersByAddress.get(host);
    if (peer === undefined || peer.end.echoPort !== port) {
      this.counts.droppedStranger++;
      return;
    }
    const echo = decodeEcho(bytes);
    if (echo === null) this.counts.droppedMalformed++;
    else if (echo.type === ECHO_PROBE) this.#onProbe(peer, echo, bytes);
    else this.#onAnswer(peer, echo, bytes);
  }

  close(): void {
    this.#cancelWake();
    this.#wakeMs = Number.NEGATIVE_INFINITY;
  }

  #onProbe(peer: EchoPeer, echo: Echo, bytes: Uint8Array): void {
    const nowMs = this.#options.clock.nowMs();
    if (!peer.answers.take(nowMs)) this.counts.droppedExcess++;
    else if (!isAuthentic(peer, echo, bytes)) this.counts.droppedUnauthentic++;
    else {
      const answer: Echo = { ...echo, type: ECHO_ANSWER, sender: this.#sender };
      if (this.#send(peer, answer, ECHO_BYTES) === "sent") this.counts.answersSent++;
      peer.onProbe(nowMs);
      peer.path.onHeard(nowMs);
      if (echo.isInUse) peer.onUsedThere(nowMs);
      this.#serve(peer);
    }
  }

  #onAnswer(peer: EchoPeer, echo: Echo, bytes: Uint8Array): void {
    if (!areEqual(echo.run, this.#options.run)) {
      this.counts.droppedStale++;
      return;
    }
    if (!isAuthentic(peer, echo, bytes)) {
      this.counts.droppedUnauthentic++;
      return;
    }
    peer.onAnswer(this.#options.clock.nowMs());
    const underlaySize = echo.size + peer.end.overheadBytes;
    if (!peer.path.onAck(echo.id, underlaySize, this.#options.clock.nowMs())) {
      this.counts.droppedStale++;
      return;
    }
    this.counts.answersReceived++;
    this.#serve(peer);
  }

  /** Everything that is due, of all peers. */
  #run(): void {
    this.#cancelWake();
    this.#wakeMs = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) this.#serve(peer);
  }

  #serve(peer: EchoPeer): void {
    const nowMs = this.#options.clock.nowMs();
    for (let probe = peer.poll(nowMs); probe !== null; probe = peer.poll(nowMs))
      this.#probe(peer, probe, nowMs);
    const mtu = peer.takeChange(nowMs);
    if (mtu !== null) this.#options.onChange(peer.end.name, mtu);
    this.#wakeAt(peer.nextMs, nowMs);
  }

  #probe(peer: EchoPeer, { id, size }: Probe, nowMs: number): void {
    const innerSize = size - peer.end.overheadBytes;
    const { run } = this.#options;
    const isInUse = peer.isUsedHere;
    const echo: Echo = { type: ECHO_PROBE, size: innerSize, id, isInUse, run, sender: this.#sender };
    const result = this.#send(peer, echo, innerSize - ECHO_HEADERS_BYTES);
    if (result === "sent") this.counts.probesSent++;
    else if (result === "too-big") peer.path.onTooBig(size, nowMs);
  }

  #send(peer: EchoPeer, echo: Echo, length: number): DatagramFate {
    encodeEcho(echo, this.#buffer);
    peer.tagger.write(this.#buffer);
    return this.#options.send(this.#buffer.subarray(0, length), peer.end.overlayAddress, peer.end.echoPort);
  }

  #wakeAt(atMs: number, nowMs: number): void {
    if (atMs >= this.#wakeMs) return;
    this.#cancelWake();
    this.#wakeMs = Math.max(atMs, nowMs + MIN_WAIT_MS);
    this.#cancelWake = this.#options.clock.after(this.#wakeMs - nowMs, () => this.#run());
  }
}

function isAuthentic(peer: EchoPeer, echo: Echo, bytes: Uint8Array): boolean {
  return areEqual(echo.sender, peer.address) && peer.tagger.matches(bytes);
}

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
