/**
 * The sessions of one service on one worker, in the order in which they make room for others: those whose client has
 * proved least first, and of equal ones the one that has been idle for longest.
 *
 * Anybody can send a datagram in anybody's name. Only a client that sends again after an answer is likely to be at the
 * address that it names, so a flood from made-up addresses evicts itself.
 */
import { RecentList } from "../recent-list.ts";
import type { DescriptorShare } from "../worker/descriptor-shares.ts";
import type { UdpSession } from "./session.ts";

/** One datagram, or several that came together, and no answer. */
export const RANK_ONE_SHOT = 0;
/** It has been answered, or has sent more than once: a task may never answer, as with syslog. */
export const RANK_USED = 1;
/** It has sent more after an answer. */
export const RANK_CONVERSING = 2;
const RANKS = 3;

export class SessionRanks {
  /** by rank: those with a socket of their own, and those of another node's tasks */
  readonly #own = listPerRank();
  readonly #far = listPerRank();
  #size = 0;

  constructor(readonly share: DescriptorShare) {}

  get size(): number {
    return this.#size;
  }

  add(session: UdpSession): void {
    this.#size++;
    this.#listOf(session).add(session);
    if (session.fd >= 0) this.share.add(1);
  }

  /** Its socket, if it had one, has been closed. */
  remove(session: UdpSession): void {
    this.#size--;
    this.#listOf(session).remove(session);
    if (session.fd >= 0) this.share.remove(1);
  }

  /** It has been used. */
  touch(session: UdpSession): void {
    this.#listOf(session).touch(session);
  }

  promote(session: UdpSession, rank: number): void {
    this.#listOf(session).remove(session);
    session.rank = rank;
    this.#listOf(session).add(session);
  }

  /** Makes room for a session; null: there is none. */
  first(): UdpSession | null {
    for (let rank = 0; rank < RANKS; rank++) {
      const own = this.#own[rank]!.oldest;
      const far = this.#far[rank]!.oldest;
      if (own === null || far === null) {
        if (own !== null || far !== null) return own ?? far;
      } else return own.usedMs <= far.usedMs ? own : far;
    }
    return null;
  }

  /** Makes room for a descriptor; null: none has one. */
  firstWithSocket(): UdpSession | null {
    for (let rank = 0; rank < RANKS; rank++) {
      const { oldest } = this.#own[rank]!;
      if (oldest !== null) return oldest;
    }
    return null;
  }

  #listOf({ fd, rank }: UdpSession): RecentList<UdpSession> {
    return (fd >= 0 ? this.#own : this.#far)[rank]!;
  }
}

function listPerRank(): readonly RecentList<UdpSession>[] {
  return Array.from({ length: RANKS }, () => new RecentList<UdpSession>());
}
