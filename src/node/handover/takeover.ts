/**
 * The new process in a handover: connects to the running one, receives its sockets, and says when it serves. When the
 * predecessor dies on the way, this one starts with what it has.
 */
import type { Clock } from "../../sys/clock.ts";
import { errnoText } from "../../sys/errno.ts";
import { InheritedSockets } from "../../sys/inherited-sockets.ts";
import { connectSeqpacket } from "../../sys/seqpacket.ts";
import { NodeError } from "../node-error.ts";
import { Channel, ChannelError } from "./channel.ts";
import type { Handed } from "./handover-part.ts";
import type { Identity } from "./identity.ts";
import { type Draining, LAYOUT } from "./messages.ts";
import { PREDECESSORS_PART, Predecessors } from "./predecessors.ts";
import { StateReceiver } from "./state-receiver.ts";

const REPLY_MS = 10_000;

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
  /** Of processes that drained already when the predecessor handed over. */
  #earlier: Handed | null = null;

  private constructor(
    channel: Channel,
    /** Those that still drain, once this process serves. */
    readonly predecessors: Predecessors,
    readonly pid: number,
    /** Of the predecessor. */
    readonly version: string,
    readonly sockets: InheritedSockets,
    /** That the predecessor listens on; null: it is not to be seen from here, or the file names another. */
    readonly adminSocket: string | null,
  ) {
    this.#channel = channel;
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
      const predecessors = new Predecessors(clock);
      return new Takeover(channel, predecessors, message.pid, message.version, sockets, adminSocket);
    } catch (error) {
      channel.close();
      throw error instanceof ChannelError ? refused(error.message) : error;
    }
  }

  /**
   * The predecessor stops what only one process can do. Its state by key; when it dies meanwhile, the parts that are whole.
   */
  async begin(): Promise<ReadonlyMap<string, Handed>> {
    const state = new StateReceiver();
    try {
      await this.#channel.send({ type: "begin" });
      for (;;) {
        const received = await this.#channel.receive(REPLY_MS);
        if (received.message.type === "state-end") break;
        if (received.message.type === "refused") throw refused(received.message.reason);
        if (received.message.type === "sockets") this.sockets.addAll(received.message.keys, received.fds);
        else state.add(received);
      }
    } catch (error) {
      if (!(error instanceof ChannelError) || error.code !== "closed") throw error;
    }
    const parts = state.take();
    this.#earlier = parts.get(PREDECESSORS_PART) ?? null;
    return parts;
  }

  /** This process serves. Throws NodeError when the predecessor has waited too long for it, and goes on. */
  async ready(): Promise<void> {
    await this.#channel.send({ type: "ready" }).catch(() => undefined); // its answer may be there all the same
    let draining: Draining | null = { openConnections: 0, leftMs: 0 };
    try {
      const { message } = await this.#channel.receive(REPLY_MS);
      if (message.type === "refused") throw refused(message.reason);
      if (message.type === "draining") draining = message;
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      if (error.code === "closed") draining = null; // it has died: this process serves alone
    }
    this.sockets.closeRest();
    if (this.#earlier !== null) this.predecessors.continueWith(this.#earlier);
    this.#earlier = null;
    if (draining === null) return this.#channel.close();
    const { openConnections, leftMs } = draining;
    this.predecessors.add({ pid: this.pid, openConnections, leftMs }, this.#channel);
  }

  /** This process does not go on. */
  async fail(reason: string): Promise<void> {
    await this.#channel.send({ type: "failed", reason }).catch(() => undefined);
    this.#channel.close();
    this.sockets.closeRest();
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
