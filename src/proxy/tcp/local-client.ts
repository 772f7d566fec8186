/** A client that connected to a published port of this node. */
import type { Endpoint } from "../../wire/index.ts";
import { type RefusalReason, S_ACCEPTED } from "../table/counters.ts";
import type { Route } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import { Client } from "./client.ts";
import type { Flow } from "./flow/index.ts";
import type { ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

/**
 * So many transmissions without an answer take twelve seconds; then a node whose heartbeat is not heard either is gone.
 * TCP_USER_TIMEOUT would also end connections to a peer that is merely slow to read. With a heartbeat the path is lossy
 * but alive, and TCP decides.
 */
const MAX_UNANSWERED = 6;

export class LocalClient extends Client {
  constructor(
    context: TcpContext,
    connections: ServiceConnections<Client>,
    fd: number,
    endpoint: Endpoint,
    readonly listener: { readonly route: Route },
  ) {
    super(context, connections, fd, endpoint, listener.route);
    this.route.rules.count(S_ACCEPTED, 1);
  }

  get keys(): null {
    return null;
  }

  /** A PROXY header precedes its bytes. */
  get isHeaderExpected(): boolean {
    const { rules } = this.route;
    const { family, bytes } = this.endpoint;
    return rules.hasAcceptProxy && rules.acceptProxy.matches(family, bytes, 0);
  }

  get isAdmitted(): boolean {
    return this.route.rules.admits(this.endpoint.family, this.endpoint.bytes, 0);
  }

  protected get openCounts(): Int32Array {
    return this.context.worker.counters.open;
  }

  /** Not when its port belongs to another service by now. */
  refreshRoute(): Route {
    const { route } = this.listener;
    if (route.rules.slot === this.route.rules.slot) this.route = route;
    return this.route;
  }

  onConnected(): void {}

  onDialFailed(reason: RefusalReason): RefusalReason {
    return reason;
  }

  flowToNode(target: Target, toTask: Flow): Flow | null {
    return target.peer === null ? null : toTask;
  }

  maxUnanswered(target: Target): number {
    return target.isPeerHeard ? Number.POSITIVE_INFINITY : MAX_UNANSWERED;
  }
}
