/**
 * The open TCP connections of one service on one worker. When the service has used up its share of the descriptors, one
 * is evicted for each new client: first the client that has sent nothing for longest, then the connection that has been
 * idle for longest. New clients get time to send, and connections in use are never evicted: then new clients wait.
 *
 * Passing bytes cost nothing here: a connection takes its place in the order when an eviction finds it in use.
 */

import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { type Recent, RecentList } from "../table/recent-list.ts";

/** One for the client, one for the task. */
const CONNECTION_DESCRIPTORS = 2;
/** Enough for a client that waits for the task's greeting or sends after a round trip. */
const LEAST_SILENCE_MS = 1_000;
const LEAST_IDLE_MS = 10_000;
/** Connections examined per eviction. */
const MAX_LOOKS = 64;

export interface Evictable<E extends Recent<E>> extends Recent<E> {
  /** Its list. */
  among: RecentList<E> | null;
  /** `usedMs` when it took its place in the list. */
  placedMs: number;
  /** The client has sent something. */
  readonly hasSpoken: boolean;
  /** When bytes last passed, or when it was accepted. */
  readonly usedMs: number;
  /** Closes it, which removes it here. */
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

  /** For one more connection; false: none can be evicted now. */
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
