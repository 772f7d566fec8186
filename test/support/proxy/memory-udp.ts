/** UDP sessions without a kernel: sockets that only remember what they were asked, a loop whose clock the test moves. */

import { OwnKeys } from "../../../src/proxy/relay/own-key.ts";
import { ConnectionRecorder } from "../../../src/proxy/table/connection-record.ts";
import { createCounters } from "../../../src/proxy/table/counters.ts";
import { DescriptorGate } from "../../../src/proxy/table/descriptor-gate.ts";
import { DescriptorShares } from "../../../src/proxy/table/descriptor-shares.ts";
import type { RelayPeer } from "../../../src/proxy/table/peer.ts";
import type { Target } from "../../../src/proxy/table/target.ts";
import type { UdpLoop } from "../../../src/proxy/udp/return-path.ts";
import type { TaskRelay, UdpSession } from "../../../src/proxy/udp/session.ts";
import type { TaskRelays } from "../../../src/proxy/udp/session-set.ts";
import type { SessionSockets } from "../../../src/proxy/udp/session-sockets.ts";
import { UdpContext } from "../../../src/proxy/udp/udp-context.ts";
import { Deadlines } from "../../../src/sys/deadline-list.ts";
import { EADDRINUSE } from "../../../src/sys/errno.ts";
import type { Pollable } from "../../../src/sys/event-loop.ts";
import type { PortRun } from "../../../src/sys/local-ports.ts";
import { type CollectedRecord, RecordCollector } from "./record-collector.ts";

const FIRST_FD = 100;
const PLENTY = 1_000_000;

class MemorySocket {
  isClosed = false;
  port = 0;
  target: string | null = null;
  handler: Pollable | null = null;
  source = "192.0.2.1";
}

class MemoryLoop implements UdpLoop {
  nowMs = 1_000;
  readonly deadlines = new Deadlines();

  constructor(readonly sockets: MemorySockets) {}

  advance(ms: number): void {
    this.nowMs += ms;
    this.deadlines.expire(this.nowMs);
  }

  watch(fd: number, _events: number, handler: Pollable): number {
    this.sockets.at(fd).handler = handler;
    return 0;
  }

  unwatch(fd: number): void {
    this.sockets.at(fd).handler = null;
  }

  close(fd: number): void {
    const socket = this.sockets.at(fd);
    if (socket.isClosed) throw new Error(`socket ${fd} is closed twice`);
    socket.isClosed = true;
  }

  continueLater(): void {}

  atTurnEnd(): void {}
}

class MemorySockets implements SessionSockets {
  readonly all: MemorySocket[] = [];
  /** Errno by "address port" of a task. */
  readonly unreachable = new Map<string, number>();
  /** Ports of other programs. */
  readonly taken = new Set<number>();
  /** The errno of `open`; 0: there are descriptors. */
  exhaustion = 0;
  /** The address that new sockets send from. */
  source = "192.0.2.1";

  /** Those of sessions. */
  get connected(): MemorySocket[] {
    return this.all.filter(({ isClosed, target }) => !isClosed && target !== null);
  }

  at(fd: number): MemorySocket {
    return this.all[fd - FIRST_FD]!;
  }

  open(): number {
    if (this.exhaustion > 0) return -this.exhaustion;
    return FIRST_FD + this.all.push(new MemorySocket()) - 1;
  }

  claim(): number {
    return this.open();
  }

  bind(fd: number, _family: number, port: number): number {
    if (this.taken.has(port)) return -EADDRINUSE;
    this.at(fd).port = port;
    return 0;
  }

  connect(fd: number, { endpoint }: Target): number {
    const error = this.unreachable.get(endpoint) ?? 0;
    if (error === 0) Object.assign(this.at(fd), { target: endpoint, source: this.source });
    return -error;
  }

  haveSameSource(one: number, other: number): boolean {
    return this.at(one).source === this.at(other).source;
  }
}

/** Relays to other nodes that note what becomes of their sessions. */
class MemoryRelays implements TaskRelays {
  readonly sessions: { peer: string; header: Uint8Array; isEnded: boolean }[] = [];
  /** "peer: data" */
  readonly sent: string[] = [];
  /** Errno of `open` by peer. */
  readonly unreachable = new Map<string, number>();
  /** The worker's. */
  memory: Uint8Array = new Uint8Array(0);

  add(peer: RelayPeer, _session: UdpSession, header: Uint8Array): TaskRelay {
    const relayed = { peer: peer.name, header, isEnded: false };
    this.sessions.push(relayed);
    const end = () => {
      relayed.isEnded = true;
    };
    const open = () => this.unreachable.get(peer.name) ?? 0;
    const send = (dataAt: number, length: number) => {
      this.sent.push(`${peer.name}: ${Buffer.from(this.memory.subarray(dataAt, dataAt + length))}`);
    };
    return { peer, isAccepted: false, open, send, end };
  }

  flush(): void {}
}

/** What the UDP sockets of a worker share, with plenty of descriptors, or `descriptors` for all services. */
export class MemoryUdp {
  readonly sockets = new MemorySockets();
  readonly loop = new MemoryLoop(this.sockets);
  readonly relays = new MemoryRelays();
  readonly counters = createCounters(1);
  readonly context: UdpContext;
  readonly #records = new RecordCollector();

  constructor(options: { readonly sourcePorts?: readonly PortRun[]; readonly descriptors?: number } = {}) {
    const { sourcePorts = [], descriptors: total = PLENTY } = options;
    const descriptors = new DescriptorGate(PLENTY, this.counters, 0, -1, () => undefined);
    const shares = new DescriptorShares(descriptors);
    shares.divide(total, [{ slot: 0, ports: [{ protocol: "udp" }] }], false);
    const recorder = new ConnectionRecorder(this.#records.ring);
    recorder.rule = { errors: true, every: 1 };
    const worker = {
      index: 0,
      loop: this.loop,
      counters: this.counters,
      recorder,
      descriptors,
      shares,
      ownKeys: new OwnKeys(),
    };
    this.context = new UdpContext(worker, { sourcePorts, moreBytes: 0, sockets: this.sockets });
    this.relays.memory = this.context.memory.bytes;
  }

  /** Of the sessions that have ended since the last call. */
  records(): readonly CollectedRecord[] {
    return this.#records.take();
  }
}
