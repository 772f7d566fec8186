/** Who sent a datagram that belongs to no link: where the answer goes. */
import type { SendBatch } from "../../../sys/mmsg.ts";
import type { RelayListener } from "./relay-listener.ts";
import type { RelayPath } from "./relay-send-batch.ts";

/** The address that the datagram at hand came from, until the answer is sent. */
export class Sender implements RelayPath {
  readonly canSegment = false;
  readonly size = null;

  constructor(
    readonly listener: RelayListener,
    readonly key: Int32Array,
  ) {}

  get fd(): number {
    return this.listener.fd;
  }

  writeDestination(batch: SendBatch, message: number): void {
    this.listener.layout.writeDestination(this.key, batch, message);
  }

  onSendError(): void {}

  onNotSent(): void {}
}
