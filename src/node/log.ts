/**
 * The log: JSON lines, or pretty ones on a terminal; written by this process, no transport threads.
 * A reader that goes away (`portmesh run | head`) costs the log, never the node.
 */
import pino from "pino";
import { writeAll } from "../sys/write-all.ts";

export interface Log {
  level: string;
  readonly debug: WriteEntry;
  readonly info: WriteEntry;
  readonly warn: WriteEntry;
  readonly error: WriteEntry;
  readonly fatal: WriteEntry;
}

interface WriteEntry {
  (message: string): void;
  (fields: object, message: string): void;
}

export interface LogOptions {
  readonly level: string;
  readonly format: "auto" | "json" | "pretty";
  readonly isTerminal: boolean;
}

const STDOUT = 1;

/** Prettifying costs 15 ms of loading, so only those who look at it pay. */
export async function createLog(options: LogOptions): Promise<Log> {
  const isPretty = options.format === "pretty" || (options.format === "auto" && options.isTerminal);
  const write = isPretty ? await prettyWriter(options.isTerminal) : writeOut;
  const log: Log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return log;
}

/** Connection records cost a message per batch, so the proxy sends them only to those who ask for them. */
export function wantsConnections(level: string): boolean {
  return level === "debug" || level === "trace";
}

async function prettyWriter(isColored: boolean): Promise<(line: string) => void> {
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({
    colorize: isColored,
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    errorLikeObjectKeys: ["err"],
  });
  return (line) => {
    writeOut(pretty(JSON.parse(line)) ?? line);
  };
}

function writeOut(line: string): void {
  writeAll(STDOUT, line);
}
