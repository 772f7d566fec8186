/** Keeps the records of finished connections, as plain values. */
import { addressText } from "../../../src/node/connection-log/address-text.ts";
import { parseTaskText, type RecordedTask } from "../../../src/proxy/index.ts";
import { createRecordRing, RecordReader, type RecordSink } from "../../../src/proxy/record-reader.ts";
import type { ConnectionRecord } from "../../../src/proxy/table/connection-record.ts";

type Plain = Omit<ConnectionRecord, "client" | "peer" | "taskText" | "read">;

export interface CollectedRecord extends Plain {
  readonly client: string;
  readonly peer: string;
  readonly task: RecordedTask | null;
}

export class RecordCollector implements RecordSink {
  readonly ring = createRecordRing();
  readonly #reader = new RecordReader([this.ring], this);
  lost = 0;
  readonly records: CollectedRecord[] = [];

  readonly admit = (): boolean => true;

  readonly add = (record: ConnectionRecord): void => {
    const { client, peer, taskText, ...plain } = record;
    this.records.push({
      ...plain,
      client: addressText(client),
      peer: addressText(peer),
      task: taskText === "" ? null : parseTaskText(taskText),
    });
  };

  readonly onLost = (records: number): void => {
    this.lost += records;
  };

  readonly flush = (): void => {};

  /** Those that are in `ring`, or have been added, since the last call. */
  take(): readonly CollectedRecord[] {
    this.#reader.readAll();
    return this.records.splice(0);
  }
}
