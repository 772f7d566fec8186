/** The limits that a service has for each of its clients, of one protocol. */
import type { ClientLimits as Limits, Protocol } from "../../model/index.ts";
import type { Endpoint } from "../../wire/index.ts";
import {
  type ClientLimit,
  ClientTable,
  type ClientTableMemory,
  OVER_LIMIT,
  OVER_RATE,
  releaseClient,
} from "./client-table.ts";
import type { RefusalReason } from "./counters.ts";

/** Of the service with this counter slot; what reads the table goes by it. Never 0. */
export function clientTag(slot: number, protocol: Protocol, family: 4 | 6): number {
  return ((slot + 1) << 2) | (protocol === "udp" ? 2 : 0) | (family === 6 ? 1 : 0);
}

export class ClientLimits {
  readonly #table: ClientTable;
  readonly #ipv4: ClientLimit;
  readonly #ipv6: ClientLimit;
  /** By word of an address. */
  readonly #ipv4Mask: number;
  readonly #ipv6Masks: readonly number[];

  private constructor(memory: ClientTableMemory, slot: number, protocol: Protocol, limits: Limits) {
    const { rate, prefix } = limits;
    const limit = {
      maxOpen: protocol === "tcp" ? limits.maxConnections : limits.maxSessions,
      intervalMs: rate === null ? 0 : rate.perMs / rate.count,
      burst: rate?.count ?? 1,
    };
    this.#table = new ClientTable(memory);
    this.#ipv4 = { ...limit, tag: clientTag(slot, protocol, 4) };
    this.#ipv6 = { ...limit, tag: clientTag(slot, protocol, 6) };
    this.#ipv4Mask = maskOf(prefix.ipv4, 0);
    this.#ipv6Masks = [0, 1, 2, 3].map((word) => maskOf(prefix.ipv6, word));
  }

  /** null: no client is limited. */
  static of(
    memory: ClientTableMemory,
    slot: number,
    protocol: Protocol,
    limits: Limits | undefined,
  ): ClientLimits | null {
    if (limits === undefined) return null;
    const max = protocol === "tcp" ? limits.maxConnections : limits.maxSessions;
    return max === 0 && limits.rate === null ? null : new ClientLimits(memory, slot, protocol, limits);
  }

  /**
   * One more connection or session of this client: what `release` takes back, or OVER_LIMIT or OVER_RATE.
   * @param nowMs of the worker's loop @param isForced it is open already: it counts, whatever the limits
   */
  acquire({ family, bytes, offset }: Endpoint, nowMs: number, isForced = false): number {
    const { address } = this.#table;
    if (family === 4) {
      address[0] = word(bytes, offset) & this.#ipv4Mask;
      address[1] = address[2] = address[3] = 0;
    } else for (let i = 0; i < 4; i++) address[i] = word(bytes, offset + i * 4) & this.#ipv6Masks[i]!;
    // loops count from the start of their threads
    const sharedNowMs = nowMs + performance.timeOrigin;
    return this.#table.acquire(family === 4 ? this.#ipv4 : this.#ipv6, sharedNowMs, isForced);
  }

  /** @param ticket as `acquire` returned it; negative: nothing */
  release(ticket: number): void {
    if (ticket >= 0) releaseClient(this.#table.memory, ticket);
  }
}

/** null: the client was admitted. @param ticket as `acquire` returned it */
export function refusalOf(ticket: number): RefusalReason | null {
  if (ticket === OVER_LIMIT) return "client-limit";
  return ticket === OVER_RATE ? "client-rate" : null;
}

/** Of the bits of word `index` that are in a prefix of this length. */
function maskOf(prefixLength: number, index: number): number {
  const bits = Math.min(32, Math.max(0, prefixLength - 32 * index));
  return bits === 0 ? 0 : -1 << (32 - bits);
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
