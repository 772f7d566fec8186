/**
 * The log: JSON lines, or pretty ones on a terminal; written by this process, no transport threads.
 * A reader that stops or goes away (`portmesh run | head`) or a full disk costs log lines, never the node.
 */
import pino from "pino";
import { systemClock } from "../sys/clock.ts";
import { openOutput } from "../sys/output.ts";
import { escapeControls, escapeToOneLine } from "../sys/terminal-text.ts";
import { LogBacklog, type LogLoss } from "./log-backlog.ts";

export interface Log {
  level: string;
  /** null: every line is out or waits for the reader. */
  readonly loss: LogLoss | null;
  /** Lines are made for people to read. */
  readonly isPretty: boolean;
  /** Connection records: lines that are written as they are, at any level. */
  readonly writeRecords: (lines: string, count: number) => void;
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
/** The last lines get this long when the process ends. */
const EXIT_FLUSH_MS = 500;

/** Writes to standard output until the process ends. Prettifying costs 15 ms of loading, so only those who look at it pay. */
export async function createLog(options: LogOptions): Promise<Log> {
  const isPretty = options.format === "pretty" || (options.format === "auto" && options.isTerminal);
  const format = isPretty ? await prettyFormat(options.isTerminal) : escapeControls;
  const backlog = new LogBacklog({ output: openOutput(STDOUT), format, clock: systemClock });
  process.on("exit", () => backlog.flush(EXIT_FLUSH_MS));
  const log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => backlog.write(line) },
  );
  const writeRecords = (lines: string, count: number) => backlog.writeRecords(lines, count);
  return Object.defineProperty(Object.assign(log, { isPretty, writeRecords }), "loss", {
    get: () => backlog.loss,
  }) as typeof log & Pick<Log, "loss" | "isPretty" | "writeRecords">;
}

async function prettyFormat(isColored: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({
    colorize: isColored,
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    errorLikeObjectKeys: ["err"],
  });
  return (line) => pretty(JSON.parse(line, escapeValue)) ?? line;
}

/** Names and errors of other nodes must not write to the terminal; only stacks have several lines. */
function escapeValue(key: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  return key === "stack" ? escapeControls(value) : escapeToOneLine(value);
}
