/** The clients with open TCP connections of one worker, by service, and how a new one starts. */
import type { Endpoint, RecordKeys } from "../../wire/index.ts";
import type { Route } from "../table/route.ts";
import { AwaitingHeader } from "./awaiting-header.ts";
import { AwaitingHello } from "./awaiting-hello.ts";
import { type Client, closeUnserved } from "./client.ts";
import { Dialing } from "./dialing.ts";
import { type ClientListener, LocalClient } from "./local-client.ts";
import type { RelayPools } from "./relay/relay-pool.ts";
import { RelayedClient } from "./relayed-client.ts";
import { ServiceConnections } from "./service-connections.ts";
import type { TcpContext } from "./tcp-context.ts";

export class Clients {
  /** by slot; bounded by the number of services */
  readonly #services = new Map<number, ServiceConnections<Client>>();

  constructor(
    readonly context: TcpContext,
    readonly relayPools: RelayPools,
  ) {}

  readonly #connectionsOf = (slot: number) => this.of(slot);

  /** The connections of the service with the counters `slot`. */
  of(slot: number): ServiceConnections<Client> {
    let connections = this.#services.get(slot);
    if (connections === undefined) {
      connections = new ServiceConnections(this.context.worker.shares.tcp(slot));
      this.#services.set(slot, connections);
    }
    return connections;
  }

  /** Those open now; they may be closed meanwhile. */
  all(): Client[] {
    return [...this.#services.values()].flatMap((connections) => connections.all());
  }

  /** A client that connected to a port of this node. */
  startLocal(fd: number, endpoint: Endpoint, listener: ClientListener): void {
    const connections = this.of(listener.route.rules.slot);
    const client = new LocalClient(this.context, connections, fd, endpoint, listener);
    if (client.isHeaderExpected) new AwaitingHeader(client, this.relayPools, this.#connectionsOf).start();
    else if (client.isUnnamed)
      new AwaitingHello(client, this.relayPools, this.#connectionsOf, null, false).start();
    else {
      const refusal = client.admit();
      if (refusal === null) new Dialing(client, this.relayPools, null, false).start();
      else closeUnserved(client, refusal);
    }
  }

  /** A client of another node. Its socket is in the loop. @param published where it connected to */
  startRelayed(
    fd: number,
    endpoint: Endpoint,
    route: Route,
    published: Endpoint,
    keys: RecordKeys | null,
  ): void {
    const connections = this.of(route.rules.slot);
    const client = new RelayedClient(this.context, connections, fd, endpoint, route, keys);
    new Dialing(client, this.relayPools, published, true).start();
  }
}
