/**
 * The running process in a handover: offers its sockets to a successor, and goes on as if nothing had happened when that
 * one does not get ready.
 *
 * Until `begin` nothing changes here. From `begin` to `ready`, some 0.1 s, gossip and relays over UDP are with nobody and
 * commands wait; listening TCP sockets are served all the time, by this process and then by both.
 */
import { rmSync } from "node:fs";
import type { Clock } from "../../sys/clock.ts";
import { pause } from "../../sys/clock.ts";
import { MAX_DESCRIPTORS, MAX_MESSAGE_BYTES } from "../../sys/descriptor-passing.ts";
import { errnoText } from "../../sys/errno.ts";
import { acceptSeqpacket, listenSeqpacket, type PeerProcess, peerProcess } from "../../sys/seqpacket.ts";
import { close } from "../../sys/socket.ts";
import type { Log } from "../log.ts";
import type { Sockets } from "../socket-list.ts";
import { Channel, ChannelError } from "./channel.ts";
import type { HandoverPart } from "./handover-part.ts";
import { differenceOf, type Identity } from "./identity.ts";
import { type Draining, type HandoverMessage, LAYOUT } from "./messages.ts";

/** From the connection on, until it serves. */
const READY_MS = 10_000;
const CONNECT_MS = 10_000;
const LOOK_MS = 2;
const REPORT_MS = 250;
/** A part of a message besides its bytes. */
const ENVELOPE_BYTES = 1_024;

type Hello = Extract<HandoverMessage, { type: "hello" }>;

export interface HandoverHost {
  readonly version: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly identity: () => Identity;
  /** Path of the handover socket. */
  readonly socket: () => string;
  /** In the order of freezing. */
  readonly parts: readonly HandoverPart[];
  readonly sockets: () => Sockets;
  /** Why there cannot be a handover now; null: there can. */
  readonly objection: () => string | null;
  /** The successor serves: forget the sockets, drain, end. */
  readonly leave: () => Promise<void>;
  readonly draining: () => Draining;
}

export type Opened = { readonly socket: string } | { readonly reason: string };

export class Predecessor {
  readonly #host: HandoverHost;
  #isUnderWay = false;
  #lastFailure: string | null = null;

  constructor(host: HandoverHost) {
    this.#host = host;
  }

  /** Why the last attempt came to nothing; null: it did not. */
  get lastFailure(): string | null {
    return this.#lastFailure;
  }

  /** Another attempt begins. */
  forgetFailure(): void {
    this.#lastFailure = null;
  }

  /** Listens for one successor, for some seconds. */
  open(): Opened {
    const reason = this.#isUnderWay ? "another handover is under way" : this.#host.objection();
    if (reason !== null) return { reason };
    const socket = this.#host.socket();
    const fd = listenSeqpacket(socket);
    if (fd < 0) return { reason: `cannot listen on ${socket}: ${errnoText(-fd)}` };
    this.#isUnderWay = true;
    this.#lastFailure = null;
    void this.#serveOne(fd, socket).finally(() => {
      this.#isUnderWay = false;
    });
    return { socket };
  }

  async #serveOne(listening: number, socket: string): Promise<void> {
    const fd = await this.#accept(listening);
    close(listening);
    rmSync(socket, { force: true });
    if (fd < 0) return this.#fail("no process connected to the handover socket");
    const channel = new Channel(fd, this.#host.clock);
    try {
      await this.#serve(channel, peerProcess(fd));
    } finally {
      channel.close();
    }
  }

  async #accept(listening: number): Promise<number> {
    const { clock } = this.#host;
    const endMs = clock.nowMs() + CONNECT_MS;
    for (;;) {
      const fd = acceptSeqpacket(listening);
      if (fd >= 0 || clock.nowMs() > endMs) return fd;
      await pause(clock, LOOK_MS);
    }
  }

  async #serve(channel: Channel, peer: PeerProcess | null): Promise<void> {
    const { log, clock, parts } = this.#host;
    const endMs = clock.nowMs() + READY_MS;
    const frozen: HandoverPart[] = [];
    let successor = nameOf(peer);
    try {
      if (peer === null || peer.uid !== process.getuid?.())
        throw new Error("a process of another user connected");
      const hello = await this.#hello(channel, endMs);
      successor = nameOf(peer, hello.pid);
      const sent = await this.#sendSockets(channel);
      await this.#expect(channel, "begin", endMs);
      for (const part of parts) {
        frozen.push(part);
        await this.#sendState(channel, part);
      }
      // opened by a reload in between: from here on there is none
      await this.#sendAll(
        channel,
        this.#host.sockets().filter(([key]) => !sent.has(key)),
      );
      await channel.send({ type: "state-end" });
      await this.#expect(channel, "ready", endMs);
    } catch (error) {
      if (error instanceof ChannelError && error.code === "silent") this.#end(peer);
      const reason = saidBefore(channel) ?? describe(error);
      await channel.send({ type: "refused", reason }).catch(() => undefined);
      for (const part of frozen.reverse()) await part.thaw();
      return this.#fail(reason, successor);
    }
    const { draining } = this.#host;
    await channel.send({ type: "draining", ...draining() }).catch(() => undefined);
    log.info({ successor: peer.pid }, `${successor} has taken over: open connections end here`);
    for (const part of parts) await part.leave();
    void this.#host.leave();
    await this.#report(channel);
  }

  async #hello(channel: Channel, endMs: number): Promise<Hello> {
    const { version, identity, clock } = this.#host;
    const { message } = await channel.receive(endMs - clock.nowMs());
    if (message.type !== "hello") throw new Error(`the successor began with "${message.type}"`);
    if (message.layout !== LAYOUT) {
      const reason =
        `version ${message.version} hands over in layout ${message.layout}, ` +
        `the running ${version} in ${LAYOUT}: stop this node and start the new one`;
      throw new Error(reason);
    }
    const difference = differenceOf(identity(), message.identity);
    if (difference !== null) throw new Error(difference);
    return message;
  }

  /** Keys of what it has sent. */
  async #sendSockets(channel: Channel): Promise<ReadonlySet<string>> {
    const { version, sockets } = this.#host;
    const all = sockets();
    await channel.send({ type: "manifest", pid: process.pid, version, sockets: all.length });
    await this.#sendAll(channel, all);
    return new Set(all.map(([key]) => key));
  }

  async #sendAll(channel: Channel, all: Sockets): Promise<void> {
    for (let at = 0; at < all.length; at += MAX_DESCRIPTORS) {
      const some = all.slice(at, at + MAX_DESCRIPTORS);
      const keys = some.map(([key]) => key);
      await channel.send(
        { type: "sockets", keys },
        some.map(([, fd]) => fd),
      );
    }
  }

  async #sendState(channel: Channel, part: HandoverPart): Promise<void> {
    const handed = await part.freeze();
    if (handed === null) return;
    const { bytes, fds } = handed;
    const step = MAX_MESSAGE_BYTES - ENVELOPE_BYTES;
    const count = Math.max(1, Math.ceil(bytes.length / step), Math.ceil(fds.length / MAX_DESCRIPTORS));
    for (let i = 0; i < count; i++) {
      const piece = bytes.slice(i * step, (i + 1) * step);
      const some = fds.slice(i * MAX_DESCRIPTORS, (i + 1) * MAX_DESCRIPTORS);
      await channel.send({ type: "state", key: part.key, bytes: piece, isLast: i === count - 1 }, some);
    }
  }

  async #expect(channel: Channel, type: "begin" | "ready", endMs: number): Promise<void> {
    const { message } = await channel.receive(endMs - this.#host.clock.nowMs());
    if (message.type === "failed") throw new Error(message.reason);
    if (message.type !== type) throw new Error(`the successor sent "${message.type}" before "${type}"`);
  }

  /** Until this process ends; the successor shows it. */
  async #report(channel: Channel): Promise<void> {
    const { clock, draining } = this.#host;
    try {
      for (;;) {
        await channel.send({ type: "draining", ...draining() });
        await pause(clock, REPORT_MS);
      }
    } catch {
      // it reports to nobody then
    }
  }

  /** What a process that has not connected says of its failure. */
  onFailed(reason: string): void {
    this.#lastFailure ??= reason;
  }

  #fail(reason: string, successor: string | null = null): void {
    const by = successor === null ? "" : ` by ${successor}`;
    this.#lastFailure ??= reason;
    this.#host.log.error(`the takeover${by} failed, this process continues: ${reason}`);
  }

  /** It hangs, and may hold the sockets. A process in another PID namespace has no number here, and ends when it is refused. */
  #end(peer: PeerProcess | null): void {
    if (peer === null || peer.pid === 0)
      return this.#host.log.error("cannot kill the successor, which hangs in another container: stop it");
    try {
      process.kill(peer.pid, "SIGKILL");
    } catch {
      // it has ended
    }
  }
}

/** Why the successor has closed the connection, which is noticed first when there is something to send; null: it has not said. */
function saidBefore(channel: Channel): string | null {
  try {
    for (let received = channel.look(); received !== null; received = channel.look())
      if (received.message.type === "failed") return received.message.reason;
  } catch {
    // it has said nothing
  }
  return null;
}

function describe(error: unknown): string {
  if (error instanceof ChannelError && error.code === "silent")
    return `the new process did not serve within ${READY_MS / 1_000} s`;
  return error instanceof Error ? error.message : String(error);
}

/** @param ownPid what it says */
function nameOf(peer: PeerProcess | null, ownPid?: number): string {
  if (peer !== null && peer.pid > 0) return `process ${peer.pid}`;
  return ownPid === undefined ? "a process of another container" : `process ${ownPid} of another container`;
}
