/**
 * Records as HAProxy's `option tcplog` writes them, without a syslog header:
 *
 *   %ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq
 *
 * The frontend is SERVICE:PORT, the backend SERVICE, the server the task. There is no queue. UDP sessions have the same
 * line.
 */
import type { ConnectionRecord } from "../../proxy/index.ts";
import { haproxyAddress } from "./address-text.ts";
import type { KnownTasks } from "./known-tasks.ts";
import { terminationOf } from "./termination.ts";
import { haproxySecond, Timestamps } from "./timestamp.ts";

const NO_SERVER = "<NOSRV>";

export function haproxyFormat(tasks: KnownTasks): (record: ConnectionRecord) => string {
  const accepted = new Timestamps(haproxySecond);
  return (record) => {
    const { client, service, published, open, serviceOpen, taskOpen } = record;
    const server = tasks.find(record.taskText)?.name ?? NO_SERVER;
    const retries = Math.max(0, record.attempts - record.hedges - 1);
    const times = `${ms(record.waitMs)}/${ms(record.connectMs)}/${ms(record.durationMs)}`;
    return (
      `${haproxyAddress(client)} [${accepted.text(record.acceptedAt)}] ${service}:${published} ${service}/${server} ` +
      `${times} ${record.bytesOut} ${terminationOf(record).state} ` +
      `${open}/${serviceOpen}/${serviceOpen}/${taskOpen}/${retries} 0/0\n`
    );
  };
}

/** -1: it did not get so far. */
function ms(value: number): number {
  return value < 0 ? -1 : Math.round(value);
}
