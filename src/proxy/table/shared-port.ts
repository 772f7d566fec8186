/** A listening socket that several services share by server names, or one service has for some names only. */
import { findByServerName, namesOfPort } from "../../model/index.ts";
import type { Endpoint } from "../../wire/index.ts";
import type { CompiledListener, Route } from "./route.ts";

export class SharedPort {
  readonly #byName = new Map<string, Route>();
  readonly #bySlot = new Map<number, Route>();
  /**
   * How many clients may be open before their names are known: as many as its services may have together; 0 = any number.
   */
  readonly maxUnnamed: number;
  readonly #hasAcceptProxy: boolean;

  /** @param routes of the socket, those of the services that come first in the table first */
  constructor(readonly routes: readonly Route[]) {
    for (const route of routes) {
      this.#bySlot.set(route.rules.slot, route);
      for (const name of namesOfPort(route)) if (!this.#byName.has(name)) this.#byName.set(name, route);
    }
    const limits = routes.map(({ rules }) => rules.maxConnections);
    this.maxUnnamed = limits.includes(0) ? 0 : limits.reduce((sum, limit) => sum + limit, 0);
    this.#hasAcceptProxy = routes.some(({ rules }) => rules.hasAcceptProxy);
  }

  /** Accounts for a client until its name is known: the service without names, else the first. */
  get lead(): Route {
    return findByServerName(this.#byName, null) ?? this.routes[0]!;
  }

  /** null: no service has the client. @param serverName null: it gives none */
  find(serverName: string | null): Route | null {
    return findByServerName(this.#byName, serverName) ?? null;
  }

  routeOf(slot: number): Route | null {
    return this.#bySlot.get(slot) ?? null;
  }

  /** Whether one of the services takes PROXY headers from this address. */
  mayBeProxy({ family, bytes, offset }: Endpoint): boolean {
    return (
      this.#hasAcceptProxy &&
      this.routes.some(({ rules }) => rules.acceptProxy.matches(family, bytes, offset))
    );
  }

  /** With other routes in the place of some. */
  map(change: (route: Route) => Route): SharedPort {
    return new SharedPort(this.routes.map(change));
  }
}

export interface SocketListener extends CompiledListener {
  /** Absent: every client is the route's. */
  readonly shared?: SharedPort;
}

/** One listener of each socket. */
export function groupBySocket(listeners: readonly CompiledListener[]): SocketListener[] {
  if (listeners.every(({ route }) => route.sni === undefined)) return [...listeners];
  return [...Map.groupBy(listeners, ({ fd }) => fd).values()].map((group) => {
    const [first] = group;
    if (group.every(({ route }) => route.sni === undefined)) return first!;
    const shared = new SharedPort(group.map(({ route }) => route));
    return { ...first!, route: shared.lead, shared };
  });
}
