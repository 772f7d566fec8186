/** One worker's listening socket of a published TCP port: applies the connection limit, starts connections. */
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import type { Route } from "../table/route.ts";
import { Acceptor } from "./acceptor.ts";
import { closeSocket } from "./client.ts";
import type { Clients } from "./clients.ts";
import { connectionRecord } from "./connection-record.ts";

export class TcpListener extends Acceptor {
  constructor(
    readonly clients: Clients,
    fd: number,
    public route: Route,
  ) {
    super(clients.context, fd);
  }

  /** Its clients are notified by the worker. */
  onTargetsChanged(): void {}

  protected get share(): DescriptorShare {
    return this.clients.of(this.route.rules.slot).share;
  }

  protected get hasRoom(): boolean {
    return this.clients.of(this.route.rules.slot).hasRoom;
  }

  protected makeRoom(): boolean {
    return this.clients.of(this.route.rules.slot).makeRoom(this.context.loop.nowMs);
  }

  protected start(fd: number): void {
    const { rules } = this.route;
    const { open } = this.context.worker.counters;
    const others = Atomics.add(open, rules.slot, 1);
    if (rules.maxConnections > 0 && others >= rules.maxConnections) {
      Atomics.sub(open, rules.slot, 1);
      return this.#refuse(fd);
    }
    this.clients.startLocal(fd, this.peer(), this);
  }

  /** Over the limit: RST, without the cost of a connection. */
  #refuse(fd: number): void {
    const { recorder } = this.context.worker;
    const reason = "connection-limit";
    this.route.rules.refuse(reason);
    closeSocket(this.context, fd, reason);
    if (!recorder.isOn) return;
    const end = { target: null, bytesIn: 0, bytesOut: 0, durationMs: 0, reason };
    recorder.add(connectionRecord(this.route, this.peer(), end));
  }
}
