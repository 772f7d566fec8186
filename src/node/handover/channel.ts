/**
 * One end of the connection between predecessor and successor. The runtime cannot wait for such a socket, so it is looked
 * at every few milliseconds, which only happens while a handover is under way.
 */
import type { Clock } from "../../sys/clock.ts";
import { pause } from "../../sys/clock.ts";
import { MAX_MESSAGE_BYTES, receiveDescriptors, sendDescriptors } from "../../sys/descriptor-passing.ts";
import { EAGAIN, EMFILE, ETOOMANYREFS, errnoText } from "../../sys/errno.ts";
import { close } from "../../sys/socket.ts";
import { decodeMessage, encodeMessage, type HandoverMessage } from "./messages.ts";

const LOOK_MS = 2;

export interface Received {
  readonly message: HandoverMessage;
  readonly fds: readonly number[];
}

/** The other process has closed its end or died, is silent, or sends what this one does not know or has no room for. */
export class ChannelError extends Error {
  override readonly name = "ChannelError";

  constructor(
    readonly code: "closed" | "silent" | "unknown" | "no-room",
    message: string,
  ) {
    super(message);
  }
}

export class Channel {
  #fd: number;

  constructor(
    fd: number,
    readonly clock: Clock,
  ) {
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Throws ChannelError. */
  async send(message: HandoverMessage, fds: readonly number[] = [], timeoutMs = 5_000): Promise<void> {
    const bytes = encodeMessage(message);
    const endMs = this.clock.nowMs() + timeoutMs;
    for (;;) {
      const result = this.#fd < 0 ? -1 : sendDescriptors(this.#fd, bytes, fds);
      if (result === 0) return;
      if (result !== -EAGAIN && result !== -ETOOMANYREFS)
        throw new ChannelError("closed", `connection lost: ${errnoText(-result)}`);
      if (this.clock.nowMs() > endMs) throw new ChannelError("silent", "the other process reads nothing");
      await pause(this.clock, LOOK_MS);
    }
  }

  /** The next message. Throws ChannelError. */
  async receive(timeoutMs: number): Promise<Received> {
    const endMs = this.clock.nowMs() + timeoutMs;
    for (;;) {
      const received = this.#look();
      if (received !== null) return received;
      if (this.clock.nowMs() > endMs)
        throw new ChannelError("silent", `no reply within ${Math.round(timeoutMs / 1_000)} s`);
      await pause(this.clock, LOOK_MS);
    }
  }

  /** A message that is there already; null: none. Throws ChannelError. */
  look(): Received | null {
    return this.#look();
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }

  #look(): Received | null {
    if (this.#fd < 0) throw new ChannelError("closed", "the connection is closed");
    const received = receiveDescriptors(this.#fd, MAX_MESSAGE_BYTES);
    if (received === -EAGAIN) return null;
    if (received === -EMFILE)
      throw new ChannelError(
        "no-room",
        "the limit of open files is too low for the sockets of the running node",
      );
    if (typeof received === "number")
      throw new ChannelError("closed", `connection lost: ${errnoText(-received)}`);
    const { bytes, fds } = received;
    if (bytes.length === 0) throw new ChannelError("closed", "the other process has ended");
    const message = decodeMessage(bytes);
    if (message !== null) return { message, fds };
    fds.forEach(close);
    throw new ChannelError("unknown", "the other process sends something unknown");
  }
}
