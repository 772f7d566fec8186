/** Everything waiting for the underlay socket: plain datagrams and seals. Both are flushed before the TUN device is read again. */
import type { SealSender } from "../../seal/seal-sender.ts";
import type { DatagramSender } from "../peer/datagram-sender.ts";

export class TransmitQueue {
  constructor(
    readonly datagrams: DatagramSender,
    readonly seals: SealSender,
  ) {}

  get isFull(): boolean {
    return this.datagrams.isFull || this.seals.isFull;
  }

  /** False: the socket is full; flush again when it is writable. */
  flush(): boolean {
    const isPlainSent = this.datagrams.datagrams === 0 || this.datagrams.flush();
    return this.seals.flush() && isPlainSent;
  }
}
