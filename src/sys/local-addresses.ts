/** The addresses this machine has right now, and whether it speaks IPv6 at all. */
import { existsSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

export interface LocalAddress {
  /** "eth0" */
  readonly interface: string;
  /** Without zone. */
  readonly address: string;
}

export interface LocalNetwork {
  readonly addresses: readonly LocalAddress[];
  /** False only when the kernel has no IPv6: then even "::" cannot be bound. */
  readonly hasIpv6: boolean;
}

export function readLocalNetwork(): LocalNetwork {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).map((entry) => ({ interface: withoutLabel(name), address: entry.address })),
  );
  return { addresses, hasIpv6: existsSync("/proc/net/if_inet6") };
}

/**
 * Without IPv6 addresses that cannot be used yet, or never: duplicate address detection is under way or has failed.
 * [RFC 4862 §5.4]
 */
export function withoutTentative(addresses: readonly LocalAddress[]): readonly LocalAddress[] {
  const tentative = readTentative();
  if (tentative.size === 0) return addresses;
  return addresses.filter(({ address }) => !address.includes(":") || !tentative.has(canonical(address)));
}

/** One text for every way to write an IPv6 address. */
function canonical(address: string): string {
  return new URL(`http://[${address}]`).hostname;
}

const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;

/** Canonical. Columns of /proc/net/if_inet6: address, interface index, prefix length, scope, flags, interface. */
function readTentative(): ReadonlySet<string> {
  try {
    const rows = readFileSync("/proc/net/if_inet6", "utf8").split("\n");
    const fields = rows.map((row) => row.trim().split(/\s+/));
    const isUnusable = (flags: string) =>
      (Number.parseInt(flags, 16) & (IFA_F_DADFAILED | IFA_F_TENTATIVE)) !== 0;
    return new Set(
      fields
        .filter((row) => isUnusable(row[4] ?? "0"))
        .map((row) => canonical(row[0]!.match(/.{4}/g)!.join(":"))),
    );
  } catch {
    return new Set(); // no IPv6
  }
}

/** "eth0:1" is a second address of eth0. */
function withoutLabel(name: string): string {
  return name.split(":", 1)[0] ?? name;
}
