/** Token buckets by client address: IPv4 by address, IPv6 by /64, which one machine usually has. Bounded; pure. */
import { parseIp } from "../../wire/index.ts";

const MAX_ADDRESSES = 4_096;
const IPV6_PREFIX_BYTES = 8;

export interface BudgetRate {
  /** At once. */
  readonly burst: number;
  /** For one more. */
  readonly refillMs: number;
}

interface Bucket {
  left: number;
  filledAtMs: number;
}

export class AddressBudget {
  readonly #rate: BudgetRate;
  /** Least recently used first; bounded by MAX_ADDRESSES. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: BudgetRate) {
    this.#rate = rate;
  }

  /** false: nothing is left. */
  take(address: string, nowMs: number): boolean {
    const bucket = this.#bucketOf(addressKey(address), nowMs);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }

  isEmpty(address: string, nowMs: number): boolean {
    return this.#bucketOf(addressKey(address), nowMs).left < 1;
  }

  #bucketOf(key: string, nowMs: number): Bucket {
    const { burst, refillMs } = this.#rate;
    const bucket = this.#buckets.get(key) ?? { left: burst, filledAtMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + Math.max(0, nowMs - bucket.filledAtMs) / refillMs);
    bucket.filledAtMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}

/** Of one client. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const ip = parseIp(mapped ?? address);
  if (ip === null || ip.family === 4) return mapped ?? address;
  return ip.bytes.subarray(0, IPV6_PREFIX_BYTES).toHex();
}
