/**
 * The main thread's end of the workers' record rings: hands the records to a sink, a bounded number at a time, so that
 * whatever else the thread has to do is not delayed.
 */
import { createRing, RingReader } from "../sys/record-ring.ts";
import { ConnectionRecord } from "./table/connection-record.ts";

/** 40,000 connections a second fill a quarter of it, which hurries the reader, in 50 ms. */
const RING_BYTES = 2 * 1024 * 1024;
/** At once, per worker: about a millisecond of formatting. */
const BATCH_RECORDS = 256;

export interface RecordSink {
  /** Whether it takes one more; else the record is skipped, and the sink counts it. */
  readonly admit: () => boolean;
  /** The record is valid during the call only. */
  readonly add: (record: ConnectionRecord) => void;
  /** So many records were lost because this thread did not read them in time. */
  readonly onLost: (records: number) => void;
  /** Nothing more comes for now. */
  readonly flush: () => void;
}

export function createRecordRing(): SharedArrayBuffer {
  return createRing(RING_BYTES);
}

export class RecordReader {
  readonly #rings: readonly RingReader[];
  readonly #record = new ConnectionRecord();
  #isQueued = false;

  /** @param sink null: there is none */
  constructor(
    rings: readonly SharedArrayBuffer[],
    readonly sink: RecordSink | null,
  ) {
    this.#rings = rings.map((ring) => new RingReader(ring));
  }

  /** Everything that is there, with pauses for the rest of the thread. */
  read(): void {
    if (this.#isQueued) return;
    if (!this.#readBatch()) return;
    this.#isQueued = true;
    setImmediate(() => {
      this.#isQueued = false;
      this.read();
    });
  }

  /** Everything that is there, at once. */
  readAll(): void {
    while (this.#readBatch());
  }

  /** true: there is more. */
  #readBatch(): boolean {
    const { sink } = this;
    if (sink === null) return false;
    let hasMore = false;
    for (const ring of this.#rings) {
      const onRecord = (at: number) => {
        if (!sink.admit()) return;
        this.#record.read(ring, at);
        sink.add(this.#record);
      };
      if (ring.take(BATCH_RECORDS, onRecord)) hasMore = true;
      const lost = ring.takeDropped();
      if (lost > 0) sink.onLost(lost);
    }
    sink.flush();
    return hasMore;
  }
}
