/** Records as JSON lines, as the rest of the log has them. By hand: at 20,000 a second each microsecond is 2 % of a core. */
import type { ConnectionRecord } from "../../proxy/index.ts";
import { errnoText } from "../../sys/errno.ts";
import { addressText, areSame } from "./address-text.ts";
import type { KnownTasks } from "./known-tasks.ts";
import { terminationOf } from "./termination.ts";
import { isoSecond, Timestamps } from "./timestamp.ts";

const NO_TASK = '"task":null,"address":null,"exitNode":null,"path":null';

/** @param self name of this node */
export function jsonFormat(self: string, tasks: KnownTasks): (record: ConnectionRecord) => string {
  const ended = new Timestamps(isoSecond);
  const accepted = new Timestamps(isoSecond);
  const entryNode = JSON.stringify(self);
  return (record) => {
    const { state, endedBy } = terminationOf(record);
    const { protocol, service, published, client, peer, errno, reason } = record;
    const peerText = areSame(client, peer) ? "" : `,"peer":"${addressText(peer)}"`;
    const errorText = errno === 0 ? "" : `,"error":${JSON.stringify(errnoText(errno))}`;
    const datagrams =
      protocol === "tcp" ? "" : `,"datagramsIn":${record.datagramsIn},"datagramsOut":${record.datagramsOut}`;
    const retries = Math.max(0, record.attempts - record.hedges - 1);
    return (
      `{"level":"info","time":"${ended.text(record.acceptedAt + record.durationMs)}Z",` +
      `"service":"${service}","protocol":"${protocol}","published":${published},"listen":"${record.listen}",` +
      `"client":"${addressText(client)}"${peerText},"entryNode":${entryNode},` +
      `${tasks.find(record.taskText)?.json ?? NO_TASK},` +
      `"acceptedAt":"${accepted.text(record.acceptedAt)}Z","waitMs":${ms(record.waitMs)},` +
      `"connectMs":${ms(record.connectMs)},"durationMs":${ms(record.durationMs)},` +
      `"bytesIn":${record.bytesIn},"bytesOut":${record.bytesOut}${datagrams},` +
      `"reason":"${reason}","state":"${state}","endedBy":${endedBy === null ? "null" : `"${endedBy}"`},` +
      `"phase":${endedBy === null ? "null" : `"${record.stage}"`}${errorText},` +
      `"attempts":${record.attempts},"retries":${retries},"hedges":${record.hedges},` +
      `"open":${record.open},"openOfService":${record.serviceOpen},"openOfTask":${record.taskOpen},` +
      `"msg":"${protocol === "tcp" ? "connection" : "UDP session"} ended: ${reason}"}\n`
    );
  };
}

/** To a tenth; "null": it did not get so far. */
function ms(value: number): string {
  return value < 0 ? "null" : String(Math.round(value * 10) / 10);
}
