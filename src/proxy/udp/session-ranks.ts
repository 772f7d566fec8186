/**
 * The sessions of one service on one worker, in the order in which they make room for others: those whose client has
 * proved least first, and of equal ones the one that has been idle for longest.
 *
 * Anybody can send a datagram in anybody's name. Only a client that sends again after an answer is likely to be at the
 * address that it names, so a flood from made-up addresses evicts itself. One that has just asked gets the time for an
 * answer, at the cost of those that have had theirs.
 */

import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { type Recent, RecentList } from "../table/recent-list.ts";

/** One datagram, or several that came together, and no answer. */
export const RANK_ONE_SHOT = 0;
/** It has been answered, or has sent more than once: a task may never answer, as with syslog. */
export const RANK_USED = 1;
/** It has sent more after an answer. */
export const RANK_CONVERSING = 2;
const RANKS = 3;
/** How long an answer may take before the session is one that has none. */
const ANSWER_MS = 1_000;

/** Those with the lowest go first. @param usedMs when it last carried datagrams */
function importance(rank: number, usedMs: number, nowMs: number): number {
  if (rank === RANK_ONE_SHOT) return nowMs - usedMs < ANSWER_MS ? 2 : 0;
  return rank === RANK_USED ? 1 : 3;
}

/** What decides whether a session makes room for another. */
export interface Ranked {
  readonly rank: number;
  /** When it last carried datagrams. */
  readonly usedMs: number;
}

/** A session in these lists. */
export interface RankedSession<S> extends Recent<S> {
  rank: number;
  readonly usedMs: number;
  /** -1: it has no socket of its own. */
  readonly fd: number;
}

export class SessionRanks<S extends RankedSession<S>> {
  /** by rank: those with a socket of their own, and those of another node's tasks */
  readonly #own = listPerRank<S>();
  readonly #far = listPerRank<S>();
  #size = 0;

  constructor(readonly share: DescriptorShare) {}

  get size(): number {
    return this.#size;
  }

  add(session: S): void {
    this.#size++;
    this.#listOf(session).add(session);
    if (session.fd >= 0) this.share.add(1);
  }

  /** Its socket, if it had one, has been closed. */
  remove(session: S): void {
    this.#size--;
    this.#listOf(session).remove(session);
    if (session.fd >= 0) this.share.remove(1);
  }

  /** It has been used. */
  touch(session: S): void {
    this.#listOf(session).touch(session);
  }

  promote(session: S, rank: number): void {
    this.#listOf(session).remove(session);
    session.rank = rank;
    this.#listOf(session).add(session);
  }

  /** Makes room for a session; null: there is none. */
  first(nowMs: number): S | null {
    return leastOf(this.#far, leastOf(this.#own, null, nowMs), nowMs);
  }

  /** Makes room for a descriptor; null: none has one. */
  firstWithSocket(nowMs: number): S | null {
    return leastOf(this.#own, null, nowMs);
  }

  #listOf({ fd, rank }: S): RecentList<S> {
    return (fd >= 0 ? this.#own : this.#far)[rank]!;
  }
}

function leastOf<S extends RankedSession<S>>(
  lists: readonly RecentList<S>[],
  other: S | null,
  nowMs: number,
): S | null {
  let least = other;
  for (const { oldest } of lists) {
    if (oldest !== null && (least === null || mattersLess(oldest, least, nowMs))) least = oldest;
  }
  return least;
}

export function mattersLess(one: Ranked, other: Ranked, nowMs: number): boolean {
  const difference = importance(one.rank, one.usedMs, nowMs) - importance(other.rank, other.usedMs, nowMs);
  return difference === 0 ? one.usedMs < other.usedMs : difference < 0;
}

function listPerRank<S extends Recent<S>>(): readonly RecentList<S>[] {
  return Array.from({ length: RANKS }, () => new RecentList<S>());
}
