/** What is on its way to the underlay: plain frames in the outbox, seals. Both go before the device is read again. */
import type { SealSender } from "../../seal/seal-sender.ts";
import type { Outbox } from "./outbox.ts";

export class Departures {
  constructor(
    readonly outbox: Outbox,
    readonly seals: SealSender,
  ) {}

  get isFull(): boolean {
    return this.outbox.isFull || this.seals.isFull;
  }

  /** False: the socket takes no more now; flush again when it does. */
  flush(): boolean {
    const hasSentPlain = this.outbox.datagrams === 0 || this.outbox.flush();
    return this.seals.flush() && hasSentPlain;
  }
}
