/**
 * The overlay address of a node: one of the subnet, by a hash of its name, so that most nodes know theirs before they
 * have heard of any other node.
 *
 * Two nodes whose hashes collide resolve the conflict from their announcements: the lower name keeps the address, the other
 * takes its next one. An address once taken is kept until a lower name wants it, so that no node moves because
 * another one has left. What a node has depends on lower names only, so the plan converges.
 */
import { formatIp, parseIp } from "../wire/index.ts";

/** Hashes tried before every address is looked at in turn. */
const HASHES = 64;

export interface AddressQuestion {
  readonly name: string;
  /** Canonical IPv4 prefix, at most /30. */
  readonly subnet: string;
  /** What this node has had until now; null: none. */
  readonly current: string | null;
  /** By name of the other nodes: the addresses they have. */
  readonly claims: ReadonlyMap<string, string>;
}

/** The address of the node; null: nodes with lower names have them all. */
export function chooseAddress({ name, subnet, current, claims }: AddressQuestion): string | null {
  const taken = new Set([...claims].flatMap(([other, address]) => (other < name ? [address] : [])));
  const hosts = Subnet.of(subnet);
  if (current !== null && hosts.has(current) && !taken.has(current)) return current;
  // a node that can keep its address keeps it
  const wanted = new Set(claims.values());
  return hosts.find(name, wanted) ?? hosts.find(name, taken);
}

export function isInSubnet(address: string, subnet: string): boolean {
  return Subnet.of(subnet).has(address);
}

export function prefixLengthOf(subnet: string): number {
  return Number(subnet.split("/")[1]);
}

/** `02:42` and the four bytes of the overlay address: no ARP request is needed. */
export function macOf(address: string): Uint8Array {
  return Uint8Array.of(0x02, 0x42, ...parseIp(address)!.bytes);
}

/** The addresses of a subnet that a node may have: all but the first and the last. */
class Subnet {
  private constructor(
    readonly network: number,
    readonly hostCount: number,
  ) {}

  static of(prefix: string): Subnet {
    const size = 2 ** (32 - prefixLengthOf(prefix));
    return new Subnet(toNumber(prefix.split("/")[0]!), size - 2);
  }

  has(address: string): boolean {
    const ip = parseIp(address);
    if (ip?.family !== 4) return false;
    const host = toNumber(address) - this.network;
    return host >= 1 && host <= this.hostCount;
  }

  /** The first of the node's addresses that is not taken. */
  find(name: string, taken: ReadonlySet<string>): string | null {
    for (let attempt = 0; attempt < HASHES; attempt++) {
      const address = this.#at(hash(name, attempt));
      if (!taken.has(address)) return address;
    }
    const first = hash(name, 0);
    for (let step = 0; step < Math.min(this.hostCount, taken.size + 1); step++) {
      const address = this.#at(first + step);
      if (!taken.has(address)) return address;
    }
    return null;
  }

  #at(index: number): string {
    const value = this.network + 1 + (index % this.hostCount);
    return formatIp(4, Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
  }
}

function hash(name: string, attempt: number): number {
  const digest = new Bun.CryptoHasher("sha256").update(`portmesh overlay\0${name}\0${attempt}`).digest();
  return digest.readUInt32BE(0);
}

function toNumber(address: string): number {
  return parseIp(address)!.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
