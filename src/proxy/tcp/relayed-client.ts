/**
 * A client of another node. That node has admitted and counted it, waits for one byte that says whether a task of this
 * node has accepted, and tries another task when none has.
 */
import { ETIMEDOUT } from "../../sys/errno.ts";
import {
  type Endpoint,
  RELAY_CONNECTED,
  RELAY_OUT_OF_DESCRIPTORS,
  RELAY_TASK_REFUSED,
  RELAY_TASK_TIMED_OUT,
  type RecordKeys,
} from "../../wire/index.ts";
import {
  type RefusalReason,
  S_RELAYED_TCP,
  S_RELAYED_TCP_BYTES_IN,
  S_RELAYED_TCP_BYTES_OUT,
} from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import { Client } from "./client.ts";
import type { Flow } from "./flow/index.ts";
import { sendByte } from "./relay/single-byte.ts";
import type { ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

/** More than a local client's: the exit node hears no heartbeat of the entry node. */
const MAX_UNANSWERED = 8;

export class RelayedClient extends Client {
  constructor(
    context: TcpContext,
    connections: ServiceConnections<Client>,
    fd: number,
    endpoint: Endpoint,
    route: Route,
    readonly keys: RecordKeys | null,
  ) {
    super(context, connections, fd, endpoint, route);
    route.rules.count(S_RELAYED_TCP, 1);
    Atomics.add(this.openCounts, route.rules.slot, 1);
  }

  get isAdmitted(): boolean {
    return true;
  }

  get bytesInField(): number {
    return S_RELAYED_TCP_BYTES_IN;
  }

  get bytesOutField(): number {
    return S_RELAYED_TCP_BYTES_OUT;
  }

  protected get openCounts(): Int32Array {
    return this.context.worker.counters.relayedOpen;
  }

  refreshRoute(): Route {
    return this.route;
  }

  onConnected(): void {
    this.#answer(RELAY_CONNECTED);
    this.context.sockets.setThinStream(this.fd, false);
  }

  onDialFailed(reason: RefusalReason, errnoValue: number): "done" {
    const isScarce = reason === "out-of-descriptors" || reason === "out-of-ports";
    this.context.refuseRelay(isScarce ? "out-of-descriptors" : "task-failed");
    if (isScarce) this.#answer(RELAY_OUT_OF_DESCRIPTORS);
    else this.#answer(errnoValue === ETIMEDOUT ? RELAY_TASK_TIMED_OUT : RELAY_TASK_REFUSED);
    return "done";
  }

  flowToNode(_target: Target, _toTask: Flow, toClient: Flow): Flow {
    return toClient;
  }

  maxUnanswered(): number {
    return MAX_UNANSWERED;
  }

  /** The entry node records it. */
  protected record(): void {}

  /** The socket has carried next to nothing, so its send buffer has room. */
  #answer(answer: number): void {
    sendByte(this.context, this.fd, this.keys, answer);
  }
}
