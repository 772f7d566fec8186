/** dnsperf: as many DNS queries over UDP as come back. */

const OUTSTANDING_QUERIES = 100;
/** A lost query holds one of the outstanding places for this long. */
const TIMEOUT_SECONDS = 1;

export interface DnsperfResult {
  readonly completed: number;
  readonly lost: number;
  readonly queriesPerSecond: number;
  readonly averageLatencyMs: number;
}

export interface DnsperfLoad {
  readonly port: number;
  readonly queryFile: string;
  readonly clients: number;
  readonly seconds: number;
}

export function dnsperfCommand(
  program: string,
  { port, queryFile, clients, seconds }: DnsperfLoad,
): string[] {
  const target = ["-s", "127.0.0.1", "-p", String(port), "-d", queryFile, "-l", String(seconds)];
  const load = [
    "-c",
    String(clients),
    "-T",
    "1",
    "-q",
    String(OUTSTANDING_QUERIES),
    "-t",
    String(TIMEOUT_SECONDS),
  ];
  return [program, ...target, ...load];
}

/** @throws Error when a figure is missing or no query was answered. */
export function parseDnsperf(stdout: string): DnsperfResult {
  const figure = (label: string) => {
    const match = new RegExp(`${label}:\\s+([\\d.]+)`).exec(stdout);
    if (!match) throw new Error(`dnsperf printed no "${label}": ${stdout.trim().slice(-200)}`);
    return Number(match[1]);
  };
  const completed = figure("Queries completed");
  if (completed === 0) throw new Error("dnsperf: no query was answered");
  return {
    completed,
    lost: figure("Queries lost"),
    queriesPerSecond: figure("Queries per second"),
    averageLatencyMs: figure("Average Latency \\(s\\)") * 1000,
  };
}
