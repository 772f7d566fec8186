/** One worker's listening socket of the relay. */
import { close } from "../../../sys/socket.ts";
import { Acceptor } from "../acceptor.ts";
import { InboundRelay } from "./inbound-relay.ts";

/** Connections that have not asked yet. A peer keeps at most 64 a worker; strangers must not take all descriptors. */
const MAX_SILENT = 4_096;

export class RelayAcceptor extends Acceptor {
  readonly #silent = new Set<InboundRelay>();

  protected start(fd: number): void {
    if (this.#silent.size >= MAX_SILENT) {
      this.context.refuseRelay("stale");
      close(fd);
      return;
    }
    const relay = new InboundRelay(this.context, fd, (gone) => this.#silent.delete(gone));
    this.#silent.add(relay);
    relay.start();
  }

  /** Connections that nobody uses go with it; those that clients use go on. */
  override close(): void {
    super.close();
    for (const relay of this.#silent) relay.close();
  }
}
