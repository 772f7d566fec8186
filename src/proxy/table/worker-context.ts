/** What the parts of a worker share: its loop, its counters, its descriptors. */

import type { EventLoop } from "../../sys/event-loop.ts";
import type { OwnKeys } from "../relay/own-key.ts";
import type { SharedCounters } from "./counters.ts";
import type { DescriptorGate } from "./descriptor-gate.ts";
import type { DescriptorShares } from "./descriptor-shares.ts";
import type { ConnectionRecord } from "./status.ts";

export interface WorkerContext {
  readonly index: number;
  readonly loop: EventLoop;
  readonly counters: SharedCounters;
  readonly recorder: ConnectionRecorder;
  readonly descriptors: DescriptorGate;
  readonly shares: DescriptorShares;
  readonly ownKeys: OwnKeys;
}

/** Collects finished connections while recording is on; bounded, the surplus is dropped. */
export class ConnectionRecorder {
  static readonly #MAX_BATCH = 1000;
  isOn = false;
  #records: ConnectionRecord[] = [];

  add(record: ConnectionRecord): void {
    if (this.#records.length < ConnectionRecorder.#MAX_BATCH) this.#records.push(record);
  }

  takeAll(): readonly ConnectionRecord[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }
}
