/** Puts the pieces of a state together in which it arrives. */
import { close } from "../../sys/socket.ts";
import type { Received } from "./channel.ts";
import type { Handed } from "./handover-part.ts";

interface Part {
  readonly pieces: Uint8Array[];
  readonly fds: number[];
  isWhole: boolean;
}

export class StateReceiver {
  readonly #parts = new Map<string, Part>();

  add({ message, fds }: Received): void {
    if (message.type !== "state") return fds.forEach(close);
    const part = this.#parts.get(message.key) ?? { pieces: [], fds: [], isWhole: false };
    this.#parts.set(message.key, part);
    part.pieces.push(message.bytes);
    for (const fd of fds) part.fds.push(fd);
    part.isWhole = message.isLast;
  }

  /** By key. Parts that the predecessor did not live to send to the end are closed. */
  take(): Map<string, Handed> {
    const whole = new Map<string, Handed>();
    for (const [key, { pieces, fds, isWhole }] of this.#parts) {
      if (isWhole) whole.set(key, { bytes: Buffer.concat(pieces), fds });
      else fds.forEach(close);
    }
    this.#parts.clear();
    return whole;
  }
}
