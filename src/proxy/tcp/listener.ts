/** One worker's listening socket of a published TCP port: applies the connection limit, starts connections. */
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import type { Route } from "../table/route.ts";
import type { SharedPort } from "../table/shared-port.ts";
import { Acceptor } from "./acceptor.ts";
import { closeSocket } from "./client.ts";
import type { Clients } from "./clients.ts";
import type { ClientListener } from "./local-client.ts";
import { recordRefused } from "./record-end.ts";

export class TcpListener extends Acceptor implements ClientListener {
  readonly text: Uint8Array;
  /** Services share the socket; null: the service of `route` has all clients. */
  shared: SharedPort | null = null;
  /** Clients of a shared socket whose names are not known yet. */
  #unnamed = 0;

  /** @param address that `fd` is bound to */
  constructor(
    readonly clients: Clients,
    fd: number,
    address: string,
    public route: Route,
  ) {
    super(clients.context, fd);
    this.text = new TextEncoder().encode(address);
  }

  onNamed(): void {
    this.#unnamed--;
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
    if (this.shared !== null) return this.#startUnnamed(fd, this.shared);
    const { rules } = this.route;
    const { open } = this.context.worker.counters;
    const others = Atomics.add(open, rules.slot, 1);
    if (rules.maxConnections > 0 && others >= rules.maxConnections) {
      Atomics.sub(open, rules.slot, 1);
      return this.#refuse(fd);
    }
    this.clients.startLocal(fd, this.peer(), this);
  }

  #startUnnamed(fd: number, { maxUnnamed }: SharedPort): void {
    if (maxUnnamed > 0 && this.#unnamed >= maxUnnamed) return this.#refuse(fd);
    this.#unnamed++;
    this.clients.startLocal(fd, this.peer(), this);
  }

  /** Over the limit: RST, without the cost of a connection. */
  #refuse(fd: number): void {
    const { recorder } = this.context.worker;
    const reason = "connection-limit";
    this.route.rules.refuse(reason);
    closeSocket(this.context, fd, reason);
    if (recorder.wants(reason)) recordRefused(this.context, reason, this.route, this.peer(), this.text);
  }
}
