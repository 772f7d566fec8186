/**
 * Another node that frames are sealed for: the keys of both directions, what is lost on the way, how large the parts
 * of a seal may be. No sockets, no clock.
 *
 * The counts here go to the other node in reports: the datagrams it must have sent, judged by the counters of its seals,
 * and how many of these have not arrived. A seal of which nothing arrived counts as one part.
 */
import { SEAL_HEADER_BYTES } from "../../wire/index.ts";
import { PathProbe } from "../path/path-probe.ts";
import { type ControlMessage, REPORT } from "./control-message.ts";
import { wordOf } from "./ipv4-word.ts";
import type { PairKeyCache, PairKeys } from "./pair-key-cache.ts";
import { Reassembly } from "./reassembly.ts";
import type { ReceivingChain } from "./receiving-keys.ts";
import { SealSize } from "./seal-size.ts";
import type { RekeyLimits, SendingKey } from "./sending-key.ts";

export interface SealedPeerOptions {
  /** Overlay addresses. */
  readonly ownAddress: string;
  readonly peerAddress: string;
  /** Never empty; as in OverlayPeer. */
  readonly secrets: readonly string[];
  /** What is kept of peers that were here before; this node's. */
  readonly cache: PairKeyCache;
  /** Of IP and UDP headers on the way: 28 or 48. */
  readonly udpOverheadBytes: number;
  /** Of the interface that the way begins with. */
  readonly localMtu: number;
  readonly random: () => number;
  readonly nowMs: number;
  readonly limits?: RekeyLimits;
}

type Report = Extract<ControlMessage, { readonly type: typeof REPORT }>;

export class SealedPeer {
  /** Its overlay address, for comparing. */
  readonly address: number;
  readonly path: PathProbe;
  readonly size = new SealSize();
  readonly reassembly = new Reassembly();
  /** When a packet last went to it. */
  usedMs = Number.NEGATIVE_INFINITY;
  readonly #options: SealedPeerOptions;
  #sending: SendingKey;
  #secrets: readonly string[];
  /** By secret. */
  #chains: ReadonlyMap<string, ReceivingChain>;
  #openedSinceReport = 0;
  #openedParts = 0;
  /** Of keys that are no longer ready. */
  #earlierSeals = 0;
  #earlierOpened = 0;
  #lastReport: Report | null = null;

  constructor(options: SealedPeerOptions) {
    const { peerAddress, secrets, nowMs, localMtu, random, udpOverheadBytes } = options;
    this.#options = options;
    this.address = wordOf(peerAddress);
    this.#secrets = secrets;
    this.#sending = this.#keysOf(secrets[0]!, nowMs).sending;
    this.#chains = this.#chainsOf(secrets, nowMs);
    this.path = new PathProbe({ localMtu, overheadBytes: udpOverheadBytes, random });
  }

  get sending(): SendingKey {
    return this.#sending;
  }

  get chains(): Iterable<ReceivingChain> {
    return this.#chains.values();
  }

  /** Bytes of a seal that one datagram carries; whole words. */
  get chunk(): number {
    return (this.path.mtu - this.#options.udpOverheadBytes - SEAL_HEADER_BYTES) & ~3;
  }

  /** The first secret is for sending from now on, all are for receiving; keys of secrets that stay are kept. */
  changeSecrets(secrets: readonly string[], nowMs: number): void {
    const before = this.#chains;
    this.#secrets = secrets;
    if (secrets.length > 0) this.#sending = this.#keysOf(secrets[0]!, nowMs).sending;
    this.#chains = this.#chainsOf(secrets, nowMs);
    for (const chain of before.values())
      if (![...this.#chains.values()].includes(chain)) this.#countRetired(chain.ready);
  }

  /** Its keys are not those that are forgotten first. */
  keepKeys(nowMs: number): void {
    for (const secret of this.#secrets) this.#keysOf(secret, nowMs);
  }

  /** It says that something of this node arrives. */
  onConfirmed(): void {
    this.#sending.onConfirmed();
  }

  /** A seal of so many parts has been opened. */
  onOpened(parts: number): void {
    this.#openedParts += parts;
    this.#openedSinceReport++;
  }

  /** The window of keys has moved on from these. */
  onRetired(keys: Iterable<ReceivingChain["ready"][number]>): void {
    this.#countRetired(keys);
  }

  /** Something has come since the last report, or was lost. */
  get hasNews(): boolean {
    return this.#openedSinceReport > 0 || this.reassembly.pending > 0;
  }

  /** The next report to the other node, some round trips after the last one. */
  report(): Report {
    this.#openedSinceReport = 0;
    this.reassembly.giveUpLate();
    let [seals, opened] = [this.#earlierSeals, this.#earlierOpened];
    for (const chain of this.#chains.values()) {
      for (const key of chain.ready) {
        seals += key.newest;
        opened += key.opened;
      }
    }
    const { givenUpParts, givenUpPartsCome, givenUpSeals, pending } = this.reassembly;
    const unseen = Math.max(0, seals - opened - givenUpSeals - pending);
    const lostParts = givenUpParts - givenUpPartsCome + unseen;
    return {
      type: REPORT,
      parts: (this.#openedParts + givenUpParts + unseen) >>> 0,
      lostParts: lostParts >>> 0,
      seals: seals >>> 0,
      lostSeals: (unseen + givenUpSeals) >>> 0,
    };
  }

  /** What the other node has had of what this one sent. */
  onReport(report: Report, nowMs: number): void {
    const before = this.#lastReport;
    this.#lastReport = report;
    const parts = (report.parts - (before?.parts ?? 0)) | 0;
    const lost = (report.lostParts - (before?.lostParts ?? 0)) | 0;
    if (parts <= 0) return;
    this.size.onReport(parts, Math.min(parts, Math.max(0, lost)), nowMs);
    this.path.countData(parts, Math.min(parts, Math.max(0, lost)), nowMs);
  }

  #chainsOf(secrets: readonly string[], nowMs: number): Map<string, ReceivingChain> {
    return new Map(secrets.map((secret) => [secret, this.#keysOf(secret, nowMs).receiving]));
  }

  #keysOf(secret: string, nowMs: number): PairKeys {
    return this.#options.cache.keysOf(secret, { ...this.#options, nowMs });
  }

  #countRetired(keys: Iterable<ReceivingChain["ready"][number]>): void {
    for (const { newest, opened } of keys) {
      this.#earlierSeals += newest;
      this.#earlierOpened += opened;
    }
  }
}
