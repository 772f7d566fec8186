/** What the TCP connections of a worker share. It knows none of them. */
import { Arena } from "../../sys/arena.ts";
import type { DeadlineList } from "../../sys/deadline-list.ts";
import type { Loop } from "../../sys/event-loop.ts";
import { SOCKADDR_MAX } from "../../sys/sockaddr.ts";
import { type TcpSockets, tcpSockets } from "../../sys/tcp-sockets.ts";
import { PROXY_V2_MAX_BYTES, ProxyHeader, type RelayTask } from "../../wire/index.ts";
import type { OwnKeys } from "../relay/own-key.ts";
import { patienceMs, stepFrom } from "../table/connect-time.ts";
import { RELAY_ERRORS, type RelayError } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { WorkerContext } from "../table/worker-context.ts";
import { Challenges } from "./challenges.ts";
import { createFlowResources, type FlowResources, PipePool } from "./flow/index.ts";
import { RelayKeys } from "./relay-keys.ts";

/** A PROXY header must have arrived whole by then. */
const HEADER_TIMEOUT_MS = 2500;
/** A task that has not answered by then gets a rival; the first to accept wins. In steps: each is a list to look at. */
const HEDGE_DELAYS_MS = [250, 350, 500, 700, 1000, 1400, 2000, 2800, 4000, 5600, 8000];
/** An attempt that was overtaken has so long at least to show that its task is not dead. */
const OVERTAKEN_MS = [3000, 6000, 12_000];
/** A client waits so long for a descriptor, and a peer that takes nothing of a broken connection is waited for. */
const STALL_MS = 5000;
/** A connection older than this gets the options that a short one does not need. */
const SETTLE_MS = 2000;
/** How often it is looked whether the node at the other end of a relayed connection still answers. */
const RELAY_CHECK_MS = 5000;
/** How often an ending connection looks whether its last bytes have left. */
const LINGER_STEP_MS = 20;
/** Longer than other nodes keep one that they do not use. */
const RELAY_IDLE_MS = 60_000;

export class TcpContext {
  readonly loop: Loop;
  readonly resources: FlowResources;
  readonly headerDeadline: DeadlineList;
  readonly stallDeadline: DeadlineList;
  readonly settleDeadline: DeadlineList;
  readonly relayCheck: DeadlineList;
  readonly lingerDeadline: DeadlineList;
  /** Relay connections of other nodes that wait to be used, or beat. */
  readonly relayIdle: DeadlineList;
  readonly relay = new RelayKeys();
  readonly challenges = new Challenges();
  readonly ownKeys: OwnKeys;
  readonly onForgedRecord = () => this.refuseRelay("forged-record");
  /** For one call at a time: a struct sockaddr, its length, a PROXY header, what is in a record. */
  readonly memory = new Arena(3 * PROXY_V2_MAX_BYTES);
  readonly sockaddrAt = this.memory.take(SOCKADDR_MAX);
  readonly sockaddrLengthAt = this.memory.take(4);
  readonly headerAt = this.memory.take(PROXY_V2_MAX_BYTES);
  readonly plainAt = this.memory.take(PROXY_V2_MAX_BYTES - SOCKADDR_MAX);
  /** Read out before the next header is decoded. */
  readonly proxyHeader = new ProxyHeader();

  constructor(
    readonly worker: WorkerContext,
    maxPipes: number,
    /** A task of this node by what another node calls it; null: there is none. */
    readonly findRoute: (task: RelayTask) => Route | null,
    readonly sockets: TcpSockets = tcpSockets,
  ) {
    const { loop } = worker;
    this.loop = loop;
    this.ownKeys = worker.ownKeys;
    this.resources = createFlowResources(new PipePool(maxPipes, worker.shares.pipes, sockets), sockets);
    this.headerDeadline = loop.deadlines.list(HEADER_TIMEOUT_MS);
    this.stallDeadline = loop.deadlines.list(STALL_MS);
    this.settleDeadline = loop.deadlines.list(SETTLE_MS);
    this.relayCheck = loop.deadlines.list(RELAY_CHECK_MS);
    this.lingerDeadline = loop.deadlines.list(LINGER_STEP_MS);
    this.relayIdle = loop.deadlines.list(RELAY_IDLE_MS);
  }

  hedgeDeadline(delayMs: number): DeadlineList {
    return this.loop.deadlines.list(stepFrom(HEDGE_DELAYS_MS, delayMs));
  }

  overtakenDeadline(waitMs: number): DeadlineList {
    return this.loop.deadlines.list(stepFrom(OVERTAKEN_MS, waitMs));
  }

  /** For the last tasks tried, of which the slowest has this timeout. */
  connectDeadline(timeoutMs: number): DeadlineList {
    return this.loop.deadlines.list(patienceMs(timeoutMs));
  }

  refuseRelay(reason: RelayError): void {
    const { counters, index } = this.worker;
    counters.relayRefusals[index]![RELAY_ERRORS.indexOf(reason)]!++;
  }
}
