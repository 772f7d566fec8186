/**
 * How a connection or session ended: HAProxy's two letters (its documentation, "Session state at disconnection"), and the
 * same in words. The first letter says what ended it, the second how far it had come.
 */
import type { ConnectionRecord, EndReason, Stage } from "../../proxy/index.ts";
import { ETIMEDOUT } from "../../sys/errno.ts";

export type EndedBy = "client" | "task" | "portmesh";

export interface Termination {
  /** "--", "SC", "cD" */
  readonly state: string;
  /** null: it ended in order. */
  readonly endedBy: EndedBy | null;
}

/**
 * C the client aborted, S the task refused or aborted, P portmesh refused it by a rule, R something ran out, K a drain ended
 * it; c and s: the client or the task was silent for too long.
 */
const CAUSES: Readonly<Record<EndReason, string>> = {
  done: "-",
  "handed-over": "-",
  "client-reset": "C",
  "client-gone": "C",
  "task-reset": "S",
  "no-task": "S",
  unreachable: "S",
  "session-moved": "S",
  denied: "P",
  "connection-limit": "P",
  "bad-proxy-header": "P",
  "published-source": "P",
  "unknown-server-name": "P",
  "client-limit": "P",
  "client-rate": "P",
  "late-client-hello": "c",
  "too-long": "P",
  "send-failed": "P",
  "out-of-descriptors": "R",
  "out-of-ports": "R",
  "session-limit": "R",
  idle: "c",
  drained: "K",
};

const PHASES: Readonly<Record<Stage, string>> = {
  header: "R",
  connect: "C",
  data: "D",
  "last-data": "L",
};

const ENDED_BY: Readonly<Record<string, EndedBy | null>> = {
  "-": null,
  C: "client",
  c: "client",
  S: "task",
  s: "task",
};

/** @param end its `stage` is "header" for clients that were refused at once */
export function terminationOf(end: Pick<ConnectionRecord, "reason" | "stage" | "errno">): Termination {
  const cause = causeOf(end);
  if (cause === "-") return { state: "--", endedBy: null };
  // only the client can still be missing something once the task has ended its stream
  const isLast = end.stage === "last-data" && (cause === "C" || cause === "c");
  const phase = end.stage === "last-data" && !isLast ? "D" : PHASES[end.stage];
  return { state: cause + phase, endedBy: ENDED_BY[cause] === undefined ? "portmesh" : ENDED_BY[cause]! };
}

function causeOf({ reason, errno }: Pick<ConnectionRecord, "reason" | "errno">): string {
  const cause = CAUSES[reason];
  if (errno !== ETIMEDOUT) return cause;
  if (reason === "bad-proxy-header") return "c";
  return cause === "S" || cause === "C" ? cause.toLowerCase() : cause;
}
