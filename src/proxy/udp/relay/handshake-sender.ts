/** Where the reply to a datagram goes that belongs to no relay. */
import type { SendBatch } from "../../../sys/mmsg.ts";
import type { KeyLayout } from "../client-key.ts";
import type { RelayDestination } from "./relay-send-batch.ts";

/** The sender of the datagram at hand, until the reply is sent. */
export class HandshakeSender implements RelayDestination {
  readonly canSegment = false;
  readonly pathMtu = null;

  /** @param key begins with the sender's address and that of this node */
  constructor(
    readonly fd: number,
    readonly layout: KeyLayout,
    readonly key: Int32Array,
  ) {}

  writeDestination(batch: SendBatch, message: number): void {
    this.layout.writeDestination(this.key, batch, message);
  }

  onSendError(): void {}

  onNotSent(): void {}
}
