/** A connection that has a client, a task and the flows between them: what `Splicing` and `Closing` have in common. */
import { Waiting } from "../../sys/deadline-list.ts";
import { EPOLLOUT } from "../../sys/epoll.ts";
import type { Continuable } from "../../sys/event-loop.ts";
import { READ_EVENTS } from "../../sys/tcp-sockets.ts";
import { STAGE_LAST_DATA } from "../table/connection-record.ts";
import type { Target } from "../table/target.ts";
import { type Client, type CloseReason, closeSocket, type Phase } from "./client.ts";
import type { Flow } from "./flow/index.ts";

export abstract class Established extends Waiting implements Phase, Continuable {
  #isQueued = false;

  constructor(
    readonly client: Client,
    readonly target: Target,
    readonly toTask: Flow,
    readonly toClient: Flow,
  ) {
    super();
  }

  abstract readonly usedMs: number;
  abstract onEvents(fd: number, events: number): void;

  get hasSpoken(): boolean {
    return this.toTask.bytes > 0;
  }

  onTargetsChanged(): void {}

  onContinue(): void {
    this.#isQueued = false;
    if (this.isCurrent) this.continue();
  }

  close(reason: CloseReason): void {
    const { client, target, toTask, toClient } = this;
    this.waitingIn?.cancel(this);
    if (toClient.hasSourceEnded) client.stage = STAGE_LAST_DATA;
    toTask.release();
    toClient.release();
    client.closeSocket(reason);
    closeSocket(client.context, toTask.destinationFd, reason);
    client.onClosed(reason, target, toTask.bytes, toClient.bytes);
  }

  /** Moves the bytes for which one turn's share was not enough. */
  protected abstract continue(): void;

  /** false: closed, or another phase handles the connection now. */
  protected get isCurrent(): boolean {
    return this.client.phase === this;
  }

  /** Counts while the connection lasts: some last for months. */
  protected move(flow: Flow): number {
    const before = flow.bytes;
    const outcome = flow.pump();
    const { client, target } = this;
    const moved = flow.bytes - before;
    if (flow === this.toTask) {
      client.route.rules.count(client.bytesInField, moved);
      target.countBytesIn(moved);
    } else {
      client.route.rules.count(client.bytesOutField, moved);
      target.countBytesOut(moved);
    }
    return outcome;
  }

  /** Half-close: the source's FIN, once everything before it has been delivered. */
  protected passEnd(flow: Flow): void {
    if (!flow.isEnded || flow.isEndPassed) return;
    flow.isEndPassed = true;
    this.client.context.sockets.shutdownWrite(flow.destinationFd);
  }

  /** EPOLLOUT is registered once; edge-triggered, it costs nothing while there is room. */
  protected watchForRoom(flow: Flow): void {
    if (flow.isRoomWatched) return;
    flow.isRoomWatched = true;
    this.client.context.loop.rewatch(flow.destinationFd, eventsAt(flow));
  }

  /** Continues in the next turn. */
  protected queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.client.context.loop.continueLater(this);
  }
}

/** What the socket that the flow leads to is watched for. */
export function eventsAt(flow: Flow): number {
  return flow.isRoomWatched ? READ_EVENTS | EPOLLOUT : READ_EVENTS;
}
