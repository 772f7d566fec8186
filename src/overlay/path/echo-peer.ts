/** One peer of the echo exchange: its path, its tags, and its last reported state. */
import { parseIp } from "../../wire/index.ts";
import { EchoTagger } from "./echo.ts";
import { PathProbe, type PathState, type Probe } from "./path-probe.ts";
import { TokenBucket } from "./token-bucket.ts";

/** More than a search ever sends in a second (about 80). */
const ANSWERS_PER_SECOND = 100;
/** The result of a search grows with every reply; it is reported after this delay. */
const REPORT_DELAY_MS = 50;
/** Some probes of a path in use: a few of them may be lost. */
const USED_THERE_MS = 10_000;

/** Another node, as the exchange needs it. */
export interface EchoPeerEnd {
  readonly name: string;
  /** IPv4 */
  readonly overlayAddress: string;
  /** UDP, of its echoes (echo.ts). */
  readonly echoPort: number;
  /** Another one is another path: what was found of the old one is forgotten. */
  readonly underlayAddress: string;
  /** What the driver adds to an inner packet on the way to it (overhead.ts). */
  readonly overheadBytes: number;
  /** As in OverlayPeer. */
  readonly secrets: readonly string[] | null;
}

/** Sizes in bytes of IP packets. */
export interface PathReport {
  readonly state: PathState;
  /** Something has come back, and lately nothing has spoken against it. */
  readonly isUp: boolean;
  /** Largest inner packet that arrives. */
  readonly mtu: number;
  /** The underlay's packet that carries it. */
  readonly underlayMtu: number;
  /** null: nothing has come back yet. */
  readonly rttMs: number | null;
  readonly minRttMs: number | null;
  /** 0…1; null: too little is known. */
  readonly loss: number | null;
}

/** When a peer's echoes last came in; null: never. */
export interface EchoHeard {
  readonly probeMs: number | null;
  readonly answerMs: number | null;
}

export class EchoPeer {
  readonly path: PathProbe;
  /** Its overlay address, 4 bytes. */
  readonly address: Uint8Array;
  readonly answers = new TokenBucket(ANSWERS_PER_SECOND, ANSWERS_PER_SECOND);
  #end: EchoPeerEnd;
  #tagger: EchoTagger;
  #reportedMtu: number | null = null;
  #reportedUp = false;
  #reportMs = Number.POSITIVE_INFINITY;
  /** This node relays to the peer. */
  isUsedHere = false;
  /** The peer has said that it relays to this node: what it gets back takes this node's way to it. */
  #usedThereMs = Number.NEGATIVE_INFINITY;
  /** When it last probed this node, and answered it. */
  #heard: EchoHeard = { probeMs: null, answerMs: null };

  constructor(end: EchoPeerEnd, deviceMtu: number, random: () => number) {
    this.#end = end;
    this.#tagger = new EchoTagger(end.secrets);
    this.address = parseIp(end.overlayAddress)!.bytes;
    const { overheadBytes } = end;
    this.path = new PathProbe({ localMtu: deviceMtu + overheadBytes, overheadBytes, random });
  }

  get end(): EchoPeerEnd {
    return this.#end;
  }

  get tagger(): EchoTagger {
    return this.#tagger;
  }

  get report(): PathReport {
    const { state, isUp, innerMtu, mtu, rttMs, minRttMs, loss } = this.path;
    return { state, isUp, mtu: innerMtu, underlayMtu: mtu, rttMs, minRttMs, loss };
  }

  get heard(): EchoHeard {
    return this.#heard;
  }

  onProbe(nowMs: number): void {
    this.#heard = { ...this.#heard, probeMs: nowMs };
  }

  onAnswer(nowMs: number): void {
    this.#heard = { ...this.#heard, answerMs: nowMs };
  }

  get nextMs(): number {
    return Math.min(this.path.nextPollMs, this.#reportMs);
  }

  /** Takes over new secrets; false: the path is another one, and this peer no longer the right one. */
  follow(end: EchoPeerEnd): boolean {
    const { overlayAddress, underlayAddress, overheadBytes, secrets } = this.#end;
    if (end.overlayAddress !== overlayAddress || end.underlayAddress !== underlayAddress) return false;
    if (end.overheadBytes !== overheadBytes) return false;
    if (end.secrets?.join() !== secrets?.join()) this.#tagger = new EchoTagger(end.secrets);
    this.#end = end;
    return true;
  }

  onUsedThere(nowMs: number): void {
    this.#usedThereMs = nowMs;
  }

  poll(nowMs: number): Probe | null {
    const isActive = this.isUsedHere || nowMs - this.#usedThereMs < USED_THERE_MS;
    return this.path.poll(nowMs, isActive);
  }

  /**
   * The inner MTU when a change is to be reported: at once when it has fallen or replies have stopped, else after
   * REPORT_DELAY_MS. null: nothing new.
   */
  takeChange(nowMs: number): number | null {
    const { innerMtu: mtu, isUp, state } = this.path;
    const isWorse = (this.#reportedMtu !== null && mtu < this.#reportedMtu) || (this.#reportedUp && !isUp);
    const isNew = state !== "base" && (mtu !== this.#reportedMtu || isUp !== this.#reportedUp);
    if (isNew && !isWorse && nowMs < this.#reportMs) {
      if (this.#reportMs === Number.POSITIVE_INFINITY) this.#reportMs = nowMs + REPORT_DELAY_MS;
      return null;
    }
    this.#reportMs = Number.POSITIVE_INFINITY;
    if (!isNew) return null;
    this.#reportedMtu = mtu;
    this.#reportedUp = isUp;
    return mtu;
  }
}
