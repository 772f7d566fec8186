/** What one probe has found. */
export interface ProbeResult {
  /** `drain`: the task answers, and wants no new clients. */
  readonly outcome: "up" | "down" | "drain";
  /** In plain words: "connection refused", "status 503, expected 200-399". */
  readonly reason: string;
}

export function up(reason: string): ProbeResult {
  return { outcome: "up", reason };
}

export function down(reason: string): ProbeResult {
  return { outcome: "down", reason };
}

const MAX_DRAIN_REASON_LENGTH = 100;

/**
 * A task that answers "drain" in a line of its own, or "drain: why", wants no new clients until it answers otherwise; null:
 * it does not say so. As HAProxy's agent-check, but for a whole line: a page may begin with the word.
 */
export function readDrain(answer: string): ProbeResult | null {
  const line = /^[^\r\n]*/.exec(answer.trimStart())?.[0].trimEnd() ?? "";
  const match = /^drain(?:\s*[:#]\s*(.*))?$/i.exec(line);
  if (match === null) return null;
  const reason = match[1]?.slice(0, MAX_DRAIN_REASON_LENGTH);
  return {
    outcome: "drain",
    reason: reason ? `the task answers "drain": ${reason}` : 'the task answers "drain"',
  };
}
