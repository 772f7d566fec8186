/**
 * The log: JSON lines, or pretty ones on a terminal; written by this process, no transport threads.
 * A reader that goes away (`portmesh run | head`) or a full disk costs log lines, never the node.
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
  const writer = new LossyWriter((text) => writeAll(STDOUT, text));
  const format = isPretty ? await prettyFormat(options.isTerminal) : (line: string) => line;
  const log: Log = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => writer.write(format(line)) },
  );
  return log;
}

/** Connection records cost a message per batch, so the proxy sends them only to those who ask for them. */
export function wantsConnections(level: string): boolean {
  return level === "debug" || level === "trace";
}

async function prettyFormat(isColored: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({
    colorize: isColored,
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    errorLikeObjectKeys: ["err"],
  });
  return (line) => pretty(JSON.parse(line)) ?? line;
}

/** Drops lines that cannot be written and says how many they were as soon as one can. */
export class LossyWriter {
  #lost = 0;
  #reason = "";

  /** @param put writes all of the text, or returns false or throws */
  constructor(readonly put: (text: string) => boolean) {}

  write(line: string): void {
    const notice =
      this.#lost === 0 ? "" : `${JSON.stringify({ level: "warn", msg: this.#describeLoss() })}\n`;
    try {
      if (!this.put(notice + line)) this.#lose("nobody reads them");
      else this.#lost = 0;
    } catch (error) {
      this.#lose((error as Error).message);
    }
  }

  #lose(reason: string): void {
    this.#lost++;
    this.#reason = reason;
  }

  #describeLoss(): string {
    return `${this.#lost} log lines were lost: ${this.#reason}`;
  }
}
