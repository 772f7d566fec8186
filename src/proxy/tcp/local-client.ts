/**
 * A client that connected to a published port of this node. On a port that services share by server names it is
 * accounted for at one of them until its name is known, without being one of its connections.
 */
import type { Endpoint } from "../../wire/index.ts";
import { refusalOf } from "../table/client-limits.ts";
import { releaseClient, UNTRACKED } from "../table/client-table.ts";
import { type RefusalReason, S_ACCEPTED, S_BYTES_IN, S_BYTES_OUT } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { SharedPort } from "../table/shared-port.ts";
import type { Target } from "../table/target.ts";
import { Client, type CloseReason } from "./client.ts";
import type { Flow } from "./flow/index.ts";
import { recordEnd } from "./record-end.ts";
import type { ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

/**
 * So many transmissions without an answer take twelve seconds; then a node whose heartbeat is not heard either is gone.
 * TCP_USER_TIMEOUT would also end connections to a peer that is merely slow to read. With a heartbeat the path is lossy
 * but alive, and TCP decides.
 */
const MAX_UNANSWERED = 6;

/** The socket that a client was accepted on. */
export interface ClientListener {
  /** In force now. */
  readonly route: Route;
  /** Its address, in UTF-8. */
  readonly text: Uint8Array;
  /** null: the service of `route` has all clients. */
  readonly shared?: SharedPort | null;
  /** A client that was counted as unnamed is so no more. */
  onNamed?(): void;
}

/** What is known of a client of a shared port until its server name is. */
interface Unnamed {
  hasHeader: boolean;
}

export class LocalClient extends Client {
  /** Of its socket, whatever a PROXY header says. */
  readonly peer: Endpoint;
  /** null: a client of its route's service. */
  #unnamed: Unnamed | null = null;
  /** Of the service's limits per client, when it was admitted. */
  #ticket = UNTRACKED;

  constructor(
    context: TcpContext,
    connections: ServiceConnections<Client>,
    fd: number,
    endpoint: Endpoint,
    readonly listener: ClientListener,
  ) {
    super(context, connections, fd, endpoint, listener.route);
    this.peer = endpoint;
    if (listener.shared == null) this.route.rules.count(S_ACCEPTED, 1);
    else this.#unnamed = { hasHeader: false };
  }

  /** Its service is known from its server name only. */
  get isUnnamed(): boolean {
    return this.#unnamed !== null;
  }

  /** A PROXY header has named its address. */
  onHeader(endpoint: Endpoint | null): void {
    if (this.#unnamed !== null) this.#unnamed.hasHeader = true;
    if (endpoint !== null) this.endpoint = endpoint;
  }

  /** null: no service has it. @param serverName null: it gives none */
  findRoute(serverName: string | null): Route | null {
    const { shared, route } = this.listener;
    return shared == null ? route : shared.find(serverName);
  }

  /** It is a client of this service from now on. Returns why it is refused; null: it is not. */
  moveTo(route: Route, connections: ServiceConnections<Client>): RefusalReason | null {
    const { rules } = route;
    const { hasHeader } = this.#unnamed!;
    this.#unnamed = null;
    this.listener.onNamed?.();
    if (connections !== this.connections) {
      this.connections.remove(this);
      this.connections = connections;
      connections.add(this);
    }
    this.route = route;
    const others = Atomics.add(this.openCounts, rules.slot, 1);
    if (rules.maxConnections > 0 && others >= rules.maxConnections) return "connection-limit";
    rules.count(S_ACCEPTED, 1);
    const { family, bytes, offset } = this.peer;
    const isHeaderDue = rules.hasAcceptProxy && rules.acceptProxy.matches(family, bytes, offset);
    if (isHeaderDue !== hasHeader) return "bad-proxy-header";
    return route.isClosed ? "no-task" : this.admit();
  }

  /** By the service's allow and deny, and its limits per client. Returns why it is refused; null: it is not. */
  admit(): RefusalReason | null {
    if (!this.isAdmitted) return "denied";
    const { tcpClients } = this.route.rules;
    if (tcpClients === null) return null;
    this.#ticket = tcpClients.acquire(this.endpoint, this.context.loop.nowMs);
    return refusalOf(this.#ticket);
  }

  get keys(): null {
    return null;
  }

  /** A PROXY header precedes its bytes. */
  get isHeaderExpected(): boolean {
    const { rules } = this.route;
    const { family, bytes } = this.endpoint;
    if (this.#unnamed !== null) return this.listener.shared!.mayBeProxy(this.endpoint);
    return rules.hasAcceptProxy && rules.acceptProxy.matches(family, bytes, 0);
  }

  get isAdmitted(): boolean {
    return this.route.rules.admits(this.endpoint.family, this.endpoint.bytes, 0);
  }

  get bytesInField(): number {
    return S_BYTES_IN;
  }

  get bytesOutField(): number {
    return S_BYTES_OUT;
  }

  protected get openCounts(): Int32Array {
    return this.context.worker.counters.open;
  }

  /** Not when its port belongs to another service by now. */
  refreshRoute(): Route {
    const { route, shared } = this.listener;
    const { slot } = this.route.rules;
    if (shared != null) this.route = shared.routeOf(slot) ?? this.route;
    else if (route.rules.slot === slot) this.route = route;
    return this.route;
  }

  protected override leave(): void {
    if (this.#unnamed === null) super.leave();
    else this.listener.onNamed?.();
    if (this.#ticket >= 0) releaseClient(this.context.worker.counters.clients, this.#ticket);
  }

  onConnected(): void {
    this.route.rules.countWait(this.context.loop.nowMs - this.startedMs);
  }

  onDialFailed(reason: RefusalReason): RefusalReason {
    return reason;
  }

  protected record(reason: CloseReason, target: Target | null, bytesIn: number, bytesOut: number): void {
    if (this.context.worker.recorder.wants(reason)) recordEnd(this, reason, target, bytesIn, bytesOut);
  }

  flowToNode(target: Target, toTask: Flow): Flow | null {
    return target.peer === null ? null : toTask;
  }

  maxUnanswered(target: Target): number {
    return target.isPeerHeard ? Number.POSITIVE_INFINITY : MAX_UNANSWERED;
  }
}
