/** What each client of a service may have, so that none takes it from the others. */

import { formatDuration } from "./duration.ts";

/** New clients in a period. */
export interface ClientRate {
  readonly count: number;
  readonly perMs: number;
}

/** What one client is: the addresses that are equal in so many leading bits. */
export interface ClientPrefix {
  readonly ipv4: number;
  readonly ipv6: number;
}

/** Of one client on one node. */
export interface ClientLimits {
  /** Open TCP connections; 0 = no limit. */
  readonly maxConnections: number;
  /** UDP sessions; 0 = no limit. */
  readonly maxSessions: number;
  /** New TCP connections, and new UDP sessions; null = no limit. */
  readonly rate: ClientRate | null;
  readonly prefix: ClientPrefix;
}

export const NO_CLIENT_LIMITS: ClientLimits = {
  maxConnections: 0,
  maxSessions: 0,
  rate: null,
  prefix: { ipv4: 32, ipv6: 64 },
};

export const MAX_CLIENT_RATE = 1_000_000;
export const RATE_PATTERN = "^[0-9]{1,7}/[sm]$";
const PERIODS = { s: 1000, m: 60_000 } as const;

/** "20/s", "600/m"; null: it is none. */
export function parseRate(text: string): ClientRate | null {
  const [, digits, unit] = /^(\d{1,7})\/([sm])$/.exec(text) ?? [];
  const count = Number(digits);
  const isRate = unit !== undefined && count >= 1 && count <= MAX_CLIENT_RATE;
  return isRate ? { count, perMs: PERIODS[unit as keyof typeof PERIODS] } : null;
}

export function formatRate({ count, perMs }: ClientRate): string {
  return `${count}/${formatDuration(perMs).replace(/^1(?=[a-z]$)/, "")}`;
}

/** Nothing where nothing is limited: a service has no limits then, whatever its prefix lengths. */
export function perClient(limits: ClientLimits): { readonly perClient?: ClientLimits } {
  const { maxConnections, maxSessions, rate } = limits;
  return maxConnections === 0 && maxSessions === 0 && rate === null ? {} : { perClient: limits };
}
