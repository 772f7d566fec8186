/**
 * The seeds, the nodes of cluster.join: asked soon after the start, then ever more rarely, and again whenever none of a
 * seed's addresses is a live member. A name is resolved each time, so a seed that moved is found. Failed members are asked
 * too, so that the halves of a split cluster rejoin within seconds.
 *
 * [MEMBERLIST] has no such loop: a joined member never asks again.
 */

import type { GossipAddress } from "../../config/index.ts";
import type { Clock } from "../../sys/clock.ts";
import type { LookupHost } from "../../sys/lookup-host.ts";
import { formatHostPort } from "../../wire/index.ts";

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
/** How often a cluster that is whole is looked at. */
const CHECK_MS = 15_000;
/** While a member is failed, all live nodes together ask one at this interval; a single node at a longer one. */
const LOST_MS = 500;
const SHORTEST_LOST_MS = 2_000;
/** Rounds without an answer from any seed, about 15 s, until that is reported. */
const SILENT_ROUNDS = 4;

export interface SeedParts {
  readonly clock: Clock;
  readonly lookup: LookupHost;
  /** 0 … 1 */
  readonly random: () => number;
  /** Of this node, which need not ask itself. */
  readonly ownAddress: () => GossipAddress;
  /** Of live members, as "host:port". */
  readonly liveAddresses: () => ReadonlySet<string>;
  /** Of members that failed and may come back; in no order. */
  readonly lostAddresses: () => readonly GossipAddress[];
  /** Asks one address; it answers with a member or not at all. */
  readonly join: (address: GossipAddress) => void;
  /** A seed's name has no address; once until it has. */
  readonly onUnresolved: (host: string, error: string) => void;
  /** This node is alone, because no seed answers; once until one does. @param seeds as "host:port" */
  readonly onSilent: (seeds: readonly string[]) => void;
}

export class Seeds {
  readonly #parts: SeedParts;
  #seeds: readonly GossipAddress[];
  readonly #unresolved = new Set<string>(); // bounded by the seeds
  #failures = 0;
  /** In a row: none of the seeds answered, and this node knew no live member. */
  #silentRounds = 0;
  /** Of the latest round: an earlier one that still waits for names ends without a word. */
  #round = 0;
  #cancel: () => void = () => undefined;
  #isClosed = false;

  constructor(seeds: readonly GossipAddress[], parts: SeedParts) {
    this.#seeds = seeds;
    this.#parts = parts;
  }

  /** Asks now, then on schedule. Resolves when all have been asked: false when none had to be. */
  async ask(): Promise<boolean> {
    this.#cancel();
    const round = ++this.#round;
    if (!this.#isClosed) this.#checkSilence();
    const isWhole = (await Promise.all(this.#seeds.map((seed) => this.#askSeed(seed)))).every(Boolean);
    if (this.#isClosed || round !== this.#round) return !isWhole;
    const isLostAsked = this.#askLost();
    this.#failures = isWhole ? 0 : this.#failures + 1;
    if (isWhole) this.#silentRounds = 0;
    this.#cancel = this.#parts.clock.after(this.#pauseMs(isLostAsked), () => void this.ask());
    return !isWhole || isLostAsked;
  }

  /** The file has others now. */
  change(seeds: readonly GossipAddress[]): void {
    this.#seeds = seeds;
    this.#failures = 0;
    this.#unresolved.clear();
    this.#silentRounds = 0;
    void this.ask();
  }

  /** Seeds, as "host:port", that leave this node alone: none answers. Empty while it knows a live member. */
  get silent(): readonly string[] {
    if (this.#silentRounds < SILENT_ROUNDS || this.#parts.liveAddresses().size > 0) return [];
    return this.#seeds.map(({ host, port }) => formatHostPort(host, port));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** Before a round: the one before has had its time. A seed behind NAT answers from another address, which is enough. */
  #checkSilence(): void {
    this.#silentRounds =
      this.#failures > 0 && this.#parts.liveAddresses().size === 0 ? this.#silentRounds + 1 : 0;
    if (this.#silentRounds === SILENT_ROUNDS) this.#parts.onSilent(this.silent);
  }

  /** True when one of its addresses is a live member already, or this node itself. */
  async #askSeed({ host, port }: GossipAddress): Promise<boolean> {
    const { lookup, join, liveAddresses, onUnresolved, ownAddress } = this.#parts;
    const answer = await lookup(host);
    if (this.#isClosed) return true;
    if ("error" in answer) {
      if (!this.#unresolved.has(host)) onUnresolved(host, answer.error);
      this.#unresolved.add(host);
      return false;
    }
    this.#unresolved.delete(host);
    const own = formatHostPort(ownAddress().host, ownAddress().port);
    const others = answer.addresses
      .map((address) => ({ host: address, port }))
      .filter((address) => formatHostPort(address.host, address.port) !== own);
    const live = liveAddresses();
    if (others.length === 0 || others.some((address) => live.has(formatHostPort(address.host, address.port))))
      return true;
    for (const address of others) join(address);
    return false;
  }

  /** One at random each time: a large part that is lost must not be asked all at once. Whether there is one. */
  #askLost(): boolean {
    const lost = this.#parts.lostAddresses();
    if (lost.length > 0) this.#parts.join(lost[Math.floor(this.#parts.random() * lost.length)]!);
    return lost.length > 0;
  }

  /** Between half and all of it, so that nodes started together do not ask together. */
  #pauseMs(isLostAsked: boolean): number {
    const pause =
      this.#failures === 0
        ? CHECK_MS
        : Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
    const atMost = isLostAsked ? this.#lostPauseMs() : pause;
    return Math.min(pause, atMost) * (0.5 + this.#parts.random() / 2);
  }

  /** One that answers is enough for two halves; a member that is gone for good costs all others together no more. */
  #lostPauseMs(): number {
    const nodes = this.#parts.liveAddresses().size + 1;
    return Math.min(CHECK_MS, Math.max(SHORTEST_LOST_MS, nodes * LOST_MS));
  }
}
