/** What the parts of a worker share: its loop, its counters, its descriptors. */

import type { EventLoop } from "../../sys/event-loop.ts";
import type { OwnKeys } from "../relay/own-key.ts";
import type { ConnectionRecorder } from "./connection-record.ts";
import type { SharedCounters } from "./counters.ts";
import type { DescriptorGate } from "./descriptor-gate.ts";
import type { DescriptorShares } from "./descriptor-shares.ts";

export interface WorkerContext {
  readonly index: number;
  readonly loop: EventLoop;
  readonly counters: SharedCounters;
  readonly recorder: ConnectionRecorder;
  readonly descriptors: DescriptorGate;
  readonly shares: DescriptorShares;
  readonly ownKeys: OwnKeys;
}
