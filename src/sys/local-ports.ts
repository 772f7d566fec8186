/** Local ports that the kernel gives to sockets which ask for none: ip_local_port_range without ip_local_reserved_ports. */
import { readFileSync } from "node:fs";

/** Of both address families, in the network namespace of this thread. */
const RANGE = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/** Where it cannot be read: the kernel's own default. */
const DEFAULT_RANGE = { low: 32_768, high: 60_999 };

export interface LocalPorts {
  readonly low: number;
  readonly high: number;
  /** Ascending. */
  readonly ports: Uint16Array;
}

export function readLocalPorts(): LocalPorts {
  return parseLocalPorts(readText(RANGE), readText(RESERVED));
}

/** @param reserved "8080,9148-9150" */
export function parseLocalPorts(range: string, reserved: string): LocalPorts {
  const [low, high] = range.trim().split(/\s+/).map(Number);
  const bounds = isPort(low) && isPort(high) && low <= high ? { low, high } : DEFAULT_RANGE;
  const isReserved = new Set(reserved.trim().split(",").flatMap(portsOf));
  const ports = new Uint16Array(bounds.high - bounds.low + 1);
  let count = 0;
  for (let port = bounds.low; port <= bounds.high; port++) if (!isReserved.has(port)) ports[count++] = port;
  return { ...bounds, ports: ports.slice(0, count) };
}

function portsOf(text: string): number[] {
  const [first, last = first] = text.split("-").map(Number);
  if (text === "" || !isPort(first) || !isPort(last)) return [];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

function isPort(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
