/** A log that keeps what it is told: "LEVEL message", without the fields. */
import type { Log } from "../../../src/node/index.ts";

export function recordingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (fields: object | string, message?: string) => {
    lines.push(`${level} ${message ?? String(fields)}`);
  };
  const log = {
    level: "info",
    loss: null,
    isPretty: false,
    writeRecords: (text: string) => void lines.push(...text.trimEnd().split("\n")),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    fatal: at("fatal"),
  };
  return { log, lines };
}
