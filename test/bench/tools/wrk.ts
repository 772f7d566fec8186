/** wrk: HTTP requests over a fixed number of connections, kept or made anew for each request. */
import { join } from "node:path";

const REPORT_SCRIPT = join(import.meta.dir, "wrk-report.lua");
const REPORT_MARK = "REPORT ";

export interface WrkResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

export interface WrkLoad {
  readonly port: number;
  readonly connections: number;
  readonly threads: number;
  readonly seconds: number;
  readonly isOneShot: boolean;
}

export function wrkCommand(program: string, load: WrkLoad): string[] {
  const size = ["-t", String(load.threads), "-c", String(load.connections), "-d", `${load.seconds}s`];
  const header = load.isOneShot ? ["-H", "Connection: close"] : [];
  return [program, ...size, "-s", REPORT_SCRIPT, ...header, `http://127.0.0.1:${load.port}/`];
}

/** @throws Error when the report line is missing or no request was answered. */
export function parseWrk(stdout: string): WrkResult {
  const line = stdout.split("\n").find((candidate) => candidate.startsWith(REPORT_MARK));
  if (line === undefined) throw new Error(`wrk printed no report: ${stdout.trim().slice(-200)}`);
  const report = JSON.parse(line.slice(REPORT_MARK.length));
  if (report.requests === 0) throw new Error("wrk: no request was answered");
  const errorCounts: number[] = Object.values(report.errors);
  return {
    requests: report.requests,
    requestsPerSecond: report.requests / (report.durationUs / 1e6),
    p50Ms: report.p50Us / 1000,
    p99Ms: report.p99Us / 1000,
    errors: errorCounts.reduce((sum, count) => sum + count, 0),
  };
}
