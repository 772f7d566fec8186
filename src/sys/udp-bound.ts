/** Whether a program of this network namespace takes datagrams, by the kernel's table of sockets: nothing is sent. */
import { readFileSync } from "node:fs";

/** @param address of this host, 4 or 16 bytes in network order. false too where the table may not be read. */
export function isUdpBound(address: Uint8Array, port: number): boolean {
  const at = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const isBound = (table: ReadonlySet<string>, bytes: Uint8Array) => table.has(hexOf(bytes) + at);
  const ipv6 = localAddresses("/proc/thread-self/net/udp6");
  // a socket of IPv6 on all addresses takes IPv4 too, unless it has been told not to, which the table does not say
  if (isBound(ipv6, new Uint8Array(16))) return true;
  if (address.length === 16) return isBound(ipv6, address);
  const ipv4 = localAddresses("/proc/thread-self/net/udp");
  return isBound(ipv4, address) || isBound(ipv4, new Uint8Array(4));
}

/**
 * Of sockets that take datagrams from anyone: those that are connected have a remote port.
 * [proc(5), /proc/net/udp]: columns sl, local address:port, remote address:port in hexadecimal, …
 */
function localAddresses(path: string): Set<string> {
  const rows = readTable(path)
    .split("\n")
    .map((line) => line.trim().split(/\s+/, 3));
  return new Set(rows.flatMap(([, local, remote]) => (remote?.endsWith(":0000") ? [local!] : [])));
}

/** Words of four bytes as the processor has them. */
function hexOf(address: Uint8Array): string {
  const words = new Uint32Array(address.slice().buffer);
  return [...words].map((word) => word.toString(16).toUpperCase().padStart(8, "0")).join("");
}

function readTable(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
