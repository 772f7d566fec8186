/**
 * The open TCP connections of one service on one worker, and which of them goes when the service has used up its share of
 * the descriptors: the one whose client has been silent for longest since it connected, then the one that has been idle
 * for longest. A client gets the time to say something, and what is in use is never closed; new clients wait then.
 *
 * Nothing is done for a byte that passes: a connection that is found to be in use takes its place in the order then.
 */

import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { type Recent, RecentList } from "../table/recent-list.ts";

/** The client's side and the task's. */
const CONNECTION_DESCRIPTORS = 2;
/** As long as a client that waits for the task's greeting, or sends after a round trip, may be silent. */
const LEAST_SILENCE_MS = 1_000;
const LEAST_IDLE_MS = 10_000;
/** Connections looked at for one that is closed. */
const MAX_LOOKS = 64;

export interface Evictable<E extends Recent<E>> extends Recent<E> {
  /** The list it is in. */
  among: RecentList<E> | null;
  /** `usedMs` when it took its place in the list. */
  placedMs: number;
  /** Its client has sent something. */
  readonly hasSpoken: boolean;
  /** When something last passed, or it was accepted. */
  readonly usedMs: number;
  /** Closes it: it is then removed from here. */
  evict(): void;
}

export class ServiceConnections<E extends Evictable<E>> {
  readonly #silent = new RecentList<E>();
  readonly #spoken = new RecentList<E>();

  constructor(readonly share: DescriptorShare) {}

  get hasRoom(): boolean {
    return this.share.hasRoom(CONNECTION_DESCRIPTORS);
  }

  add(connection: E): void {
    this.share.add(CONNECTION_DESCRIPTORS);
    this.#place(connection, this.#silent);
  }

  remove(connection: E): void {
    connection.among!.remove(connection);
    connection.among = null;
    this.share.remove(CONNECTION_DESCRIPTORS);
  }

  all(): E[] {
    return [...this.#silent, ...this.#spoken];
  }

  /** For one more: false when there is none to be had now. */
  makeRoom(nowMs: number): boolean {
    while (!this.hasRoom) {
      const last = this.#mostSilent(nowMs) ?? this.#mostIdle(nowMs);
      if (last === null) return false;
      last.evict();
    }
    return true;
  }

  #mostSilent(nowMs: number): E | null {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const oldest = this.#silent.oldest;
      if (oldest === null) return null;
      if (!oldest.hasSpoken) return nowMs - oldest.placedMs >= LEAST_SILENCE_MS ? oldest : null;
      this.#silent.remove(oldest);
      this.#place(oldest, this.#spoken);
    }
    return null;
  }

  #mostIdle(nowMs: number): E | null {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const oldest = this.#spoken.oldest;
      if (oldest === null) return null;
      if (oldest.usedMs === oldest.placedMs) return nowMs - oldest.usedMs >= LEAST_IDLE_MS ? oldest : null;
      oldest.placedMs = oldest.usedMs;
      this.#spoken.touch(oldest);
    }
    return null;
  }

  #place(connection: E, among: RecentList<E>): void {
    connection.among = among;
    connection.placedMs = connection.usedMs;
    among.add(connection);
  }
}
