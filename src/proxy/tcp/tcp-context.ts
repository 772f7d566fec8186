/** What the TCP connections of a worker share. It knows none of them. */
import { Arena } from "../../sys/arena.ts";
import type { DeadlineList } from "../../sys/deadline-list.ts";
import type { Loop } from "../../sys/event-loop.ts";
import { SOCKADDR_MAX } from "../../sys/sockaddr.ts";
import { type TcpSockets, tcpSockets } from "../../sys/tcp-sockets.ts";
import {
  ClientHello,
  MAX_CLIENT_HELLO_BYTES,
  PROXY_V2_MAX_BYTES,
  ProxyHeader,
  type RelayTask,
} from "../../wire/index.ts";
import type { OwnKeys } from "../relay/own-key.ts";
import { patienceMs, stepFrom } from "../table/connect-time.ts";
import { RELAY_ERRORS, type RelayError } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { WorkerContext } from "../table/worker-context.ts";
import { Challenges } from "./challenges.ts";
import { createFlowResources, type FlowResources, PipePool } from "./flow/index.ts";
import { RelayKeys } from "./relay-keys.ts";

/** For a complete PROXY header. */
const HEADER_TIMEOUT_MS = 2500;
/** For a complete TLS ClientHello. */
const HELLO_TIMEOUT_MS = 5000;
/** Until another task is tried beside a slow one. In steps, as each duration is a deadline list. */
const HEDGE_DELAYS_MS = [250, 350, 500, 700, 1000, 1400, 2000, 2800, 4000, 5600, 8000];
/** How long an overtaken attempt may still prove that its task is alive. */
const OVERTAKEN_MS = [3000, 6000, 12_000];
/** For a client that waits for a descriptor, and for a peer that reads nothing of a broken connection. */
const STALL_MS = 5000;
/** Age of a connection at its first check, which turns on keep-alive: short connections do without that system call. */
const FIRST_CHECK_MS = 2000;
/** Interval of the checks that the other node of a relayed connection still answers. */
const RELAY_CHECK_MS = 5000;
/** Interval of the checks that the last bytes of a broken connection have left. */
const LINGER_STEP_MS = 20;
/** Longer than other nodes keep an unused connection. */
const RELAY_IDLE_MS = 60_000;

export class TcpContext {
  readonly loop: Loop;
  readonly resources: FlowResources;
  readonly headerDeadline: DeadlineList;
  readonly helloDeadline: DeadlineList;
  readonly stallDeadline: DeadlineList;
  readonly firstCheck: DeadlineList;
  readonly relayCheck: DeadlineList;
  readonly lingerDeadline: DeadlineList;
  /** For relay connections from other nodes that carry no client. */
  readonly relayIdle: DeadlineList;
  readonly relay = new RelayKeys();
  readonly challenges = new Challenges();
  readonly ownKeys: OwnKeys;
  readonly onForgedRecord = () => this.refuseRelay("forged-record");
  /** Scratch for one call: a struct sockaddr, its length, a PROXY header, the content of a record. */
  readonly memory = new Arena(3 * PROXY_V2_MAX_BYTES);
  readonly sockaddrAt = this.memory.take(SOCKADDR_MAX);
  readonly sockaddrLengthAt = this.memory.take(4);
  readonly headerAt = this.memory.take(PROXY_V2_MAX_BYTES);
  readonly plainAt = this.memory.take(PROXY_V2_MAX_BYTES - SOCKADDR_MAX);
  /** Read out before the next header is decoded. */
  readonly proxyHeader = new ProxyHeader();
  /** Read out before the next one is decoded; its bytes are of one call. */
  readonly hello = new ClientHello();
  readonly helloMemory = new Arena(MAX_CLIENT_HELLO_BYTES);

  constructor(
    readonly worker: WorkerContext,
    maxPipes: number,
    /** The route to a task of this node that another node asks for; null: no such task. */
    readonly findRoute: (task: RelayTask) => Route | null,
    readonly sockets: TcpSockets = tcpSockets,
  ) {
    const { loop } = worker;
    this.loop = loop;
    this.ownKeys = worker.ownKeys;
    this.resources = createFlowResources(new PipePool(maxPipes, worker.shares.pipes, sockets), sockets);
    this.headerDeadline = loop.deadlines.list(HEADER_TIMEOUT_MS);
    this.helloDeadline = loop.deadlines.list(HELLO_TIMEOUT_MS);
    this.stallDeadline = loop.deadlines.list(STALL_MS);
    this.firstCheck = loop.deadlines.list(FIRST_CHECK_MS);
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

  /** For the last attempts. @param timeoutMs of the slowest */
  connectDeadline(timeoutMs: number): DeadlineList {
    return this.loop.deadlines.list(patienceMs(timeoutMs));
  }

  refuseRelay(reason: RelayError): void {
    const { counters, index } = this.worker;
    counters.relayRefusals[index]![RELAY_ERRORS.indexOf(reason)]!++;
  }
}
