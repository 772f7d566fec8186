/** Records for people: one line with what matters. */
import type { ConnectionRecord } from "../../proxy/index.ts";
import { errnoText } from "../../sys/errno.ts";
import { addressText, areSame } from "./address-text.ts";
import type { KnownTask, KnownTasks } from "./known-tasks.ts";
import { terminationOf } from "./termination.ts";
import { clockTime, Timestamps } from "./timestamp.ts";

export function prettyFormat(tasks: KnownTasks): (record: ConnectionRecord) => string {
  const ended = new Timestamps(clockTime);
  return (record) => {
    const { protocol, service, published, client, peer, reason, errno, bytesIn, bytesOut } = record;
    const from = areSame(client, peer)
      ? addressText(client)
      : `${addressText(client)} (through ${addressText(peer)})`;
    const error = errno === 0 ? "" : ` (${errnoText(errno)})`;
    return (
      `[${ended.text(record.acceptedAt + record.durationMs)}] INFO: ${service} ${published}/${protocol}: ` +
      `${from} -> ${where(tasks.find(record.taskText))}, ${Math.round(record.durationMs)} ms, ` +
      `${bytesIn} B in, ${bytesOut} B out: ${reason}${error} ${terminationOf(record).state}\n`
    );
  };
}

function where(task: KnownTask | null): string {
  if (task === null) return "no task";
  const on = task.path === "local" ? "" : ` on ${task.node} (${task.path})`;
  return `${task.name} ${task.address}${on}`;
}
