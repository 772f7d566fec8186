/** The addresses this machine has right now, and whether it speaks IPv6 at all. */
import { existsSync } from "node:fs";
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

/** "eth0:1" is a second address of eth0. */
function withoutLabel(name: string): string {
  return name.split(":", 1)[0] ?? name;
}
