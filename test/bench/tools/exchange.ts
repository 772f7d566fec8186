/** Requests and answers of one size, one at a time on each connection; the next request goes when the answer is there. */
import { join } from "node:path";
import { findProgram } from "../process.ts";

const FOLDER = join(import.meta.dir, "../targets");
/**
 * Both ends without the optimising compilers, whose threads would run for seconds on the processors that are measured:
 * they held up one exchange in a hundred by milliseconds, whoever carried it.
 */
const RUNTIME = [findProgram("env")!, "BUN_JSC_useDFGJIT=0", process.execPath];

export interface ExchangeLoad {
  readonly address: string;
  readonly port: number;
  /** Of a request and of an answer. */
  readonly messageBytes: number;
  readonly connections: number;
  readonly seconds: number;
}

/** What the client prints. */
export interface ExchangeReport {
  /** In `seconds`. */
  readonly exchanges: number;
  /** Before, while it got warm. */
  readonly untimedExchanges: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Connections that the other side closed: the client gives up at the first. */
  readonly ended: number;
}

export function exchangeServer(port: number, messageBytes: number): string[] {
  return [...RUNTIME, join(FOLDER, "exchange-server.ts"), String(port), String(messageBytes)];
}

export function exchangeClient({
  address,
  port,
  messageBytes,
  connections,
  seconds,
}: ExchangeLoad): string[] {
  const numbers = [port, messageBytes, connections, seconds].map(String);
  return [...RUNTIME, join(FOLDER, "exchange-client.ts"), address, ...numbers];
}

/** @throws Error when a connection was closed or nothing was answered. */
export function parseExchange(stdout: string): ExchangeReport {
  const report = JSON.parse(stdout) as ExchangeReport;
  if (report.ended > 0)
    throw new Error(`exchange: ${report.ended} connections were closed by the other side`);
  if (report.exchanges === 0) throw new Error("exchange: nothing was answered");
  return report;
}
