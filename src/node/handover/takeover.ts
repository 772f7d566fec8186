/**
 * The new process in a handover: connects to the running one, receives its sockets, and says when it serves. When the
 * predecessor dies on the way, this one starts with what it has.
 */
import type { Clock } from "../../sys/clock.ts";
import { pause } from "../../sys/clock.ts";
import { errnoText } from "../../sys/errno.ts";
import { InheritedSockets } from "../../sys/inherited-sockets.ts";
import { connectSeqpacket } from "../../sys/seqpacket.ts";
import { NodeError } from "../node-error.ts";
import { Channel, ChannelError } from "./channel.ts";
import type { Handed } from "./handover-part.ts";
import type { Identity } from "./identity.ts";
import { type Draining, LAYOUT } from "./messages.ts";

const REPLY_MS = 10_000;
const LOOK_MS = 250;

export interface PredecessorStatus extends Draining {
  readonly pid: number;
}

export interface TakeoverOptions {
  /** That the predecessor has opened for this process. */
  readonly socket: string;
  /** On which it was asked; null: it was asked elsewhere. */
  readonly adminSocket: string | null;
  /** What this process is going to run. */
  readonly identity: Identity;
  readonly version: string;
  readonly clock: Clock;
}

export class Takeover {
  readonly #channel: Channel;
  readonly #clock: Clock;
  #draining: Draining | null = null;
  #isPredecessorGone = false;

  private constructor(
    channel: Channel,
    clock: Clock,
    readonly pid: number,
    /** Of the predecessor. */
    readonly version: string,
    readonly sockets: InheritedSockets,
    /** That the predecessor listens on; null: it is not to be seen from here, or the file names another. */
    readonly adminSocket: string | null,
  ) {
    this.#channel = channel;
    this.#clock = clock;
  }

  /** Throws NodeError when the predecessor refuses. */
  static async connect({
    socket,
    adminSocket,
    identity,
    version,
    clock,
  }: TakeoverOptions): Promise<Takeover> {
    const fd = connectSeqpacket(socket);
    if (fd < 0) throw refused(`cannot connect to ${socket}: ${errnoText(-fd)}`);
    const channel = new Channel(fd, clock);
    try {
      await channel.send({ type: "hello", layout: LAYOUT, version, pid: process.pid, identity });
      const { message } = await channel.receive(REPLY_MS);
      if (message.type === "refused") throw refused(message.reason);
      if (message.type !== "manifest") throw refused(`the running node replied with "${message.type}"`);
      const sockets = await receiveSockets(channel, message.sockets);
      return new Takeover(channel, clock, message.pid, message.version, sockets, adminSocket);
    } catch (error) {
      channel.close();
      throw error instanceof ChannelError ? refused(error.message) : error;
    }
  }

  /** null: it has ended. */
  get predecessor(): PredecessorStatus | null {
    return this.#draining === null ? null : { pid: this.pid, ...this.#draining };
  }

  /** The predecessor stops what only one process can do. Its state by key; empty when it has died. */
  async begin(): Promise<ReadonlyMap<string, Handed>> {
    const state = new Map<string, Handed>();
    try {
      await this.#channel.send({ type: "begin" });
      for (;;) {
        const { message, fds } = await this.#channel.receive(REPLY_MS);
        if (message.type === "state-end") return state;
        if (message.type === "refused") throw refused(message.reason);
        if (message.type !== "state") continue;
        const before = state.get(message.key) ?? { bytes: new Uint8Array(), fds: [] };
        const bytes = Buffer.concat([before.bytes, message.bytes]);
        state.set(message.key, { bytes, fds: [...before.fds, ...fds] });
      }
    } catch (error) {
      if (!(error instanceof ChannelError) || error.code !== "closed") throw error;
      this.#isPredecessorGone = true;
      return state;
    }
  }

  /** This process serves. Throws NodeError when the predecessor has waited too long for it, and goes on. */
  async ready(): Promise<void> {
    await this.#channel.send({ type: "ready" }).catch(() => undefined); // its answer may be there all the same
    try {
      const { message } = await this.#channel.receive(REPLY_MS);
      if (message.type === "refused") throw refused(message.reason);
      if (message.type === "draining") this.#draining = message;
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#isPredecessorGone = error.code === "closed"; // it has died: this process serves alone
    }
    this.sockets.closeRest();
    void this.#watch();
  }

  /** This process does not go on. */
  async fail(reason: string): Promise<void> {
    await this.#channel.send({ type: "failed", reason }).catch(() => undefined);
    this.#channel.close();
    this.sockets.closeRest();
  }

  async #watch(): Promise<void> {
    try {
      while (!this.#isPredecessorGone) {
        const received = this.#channel.look();
        if (received === null) await pause(this.#clock, LOOK_MS);
        else if (received.message.type === "draining") {
          const { openConnections, leftMs } = received.message;
          this.#draining = { openConnections, leftMs };
        }
      }
    } catch {
      // it has ended
    }
    this.#draining = null;
    this.#channel.close();
  }
}

async function receiveSockets(channel: Channel, count: number): Promise<InheritedSockets> {
  const sockets: [string, number][] = [];
  while (sockets.length < count) {
    const { message, fds } = await channel.receive(REPLY_MS);
    if (message.type === "sockets")
      message.keys.forEach((key, i) => {
        sockets.push([key, fds[i]!]);
      });
  }
  return new InheritedSockets(sockets);
}

function refused(reason: string): NodeError {
  return new NodeError("takeover-refused", `cannot take over from the running node: ${reason}`);
}
