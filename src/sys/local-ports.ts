/** Local ports that the kernel gives to sockets which ask for none: ip_local_port_range without ip_local_reserved_ports. */
import { readFileSync } from "node:fs";

/** Of both address families, in the network namespace of this thread. */
const RANGE = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/** Where it cannot be read: the kernel's own default. */
const DEFAULT_RANGE = { low: 32_768, high: 60_999 };

/** Neighbouring ports: a range has tens of thousands, which nothing here ever lists. */
export interface PortRun {
  readonly first: number;
  readonly last: number;
}

export interface LocalPorts {
  readonly low: number;
  readonly high: number;
  /** Ascending, without the reserved ones. */
  readonly runs: readonly PortRun[];
}

export function readLocalPorts(): LocalPorts {
  return parseLocalPorts(readText(RANGE), readText(RESERVED));
}

/** @param reserved "8080,9148-9150" */
export function parseLocalPorts(range: string, reserved: string): LocalPorts {
  const [low, high] = range.trim().split(/\s+/).map(Number);
  const bounds = isPort(low) && isPort(high) && low <= high ? { low, high } : DEFAULT_RANGE;
  let runs: PortRun[] = [{ first: bounds.low, last: bounds.high }];
  for (const taken of reserved.trim().split(",").flatMap(runOf))
    runs = runs.flatMap((run) => without(run, taken));
  return { ...bounds, runs };
}

export function countPorts(runs: readonly PortRun[]): number {
  return runs.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

function without({ first, last }: PortRun, taken: PortRun): PortRun[] {
  const parts = [
    { first, last: Math.min(last, taken.first - 1) },
    { first: Math.max(first, taken.last + 1), last },
  ];
  if (taken.last < first || taken.first > last) return [{ first, last }];
  return parts.filter((part) => part.first <= part.last);
}

function runOf(text: string): PortRun[] {
  const [first, last = first] = text.split("-").map(Number);
  return text !== "" && isPort(first) && isPort(last) && first <= last ? [{ first, last }] : [];
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
