/**
 * The path from a session back to its client: a listener of this node (`SessionSet`), or another node that accepted the
 * client and relays it here (`relay/relay-return-path.ts`). Between a session and its task both are the same.
 */
import type { EventLoop } from "../../sys/event-loop.ts";
import type { RefusalReason } from "../table/counters.ts";
import type { DescriptorGate } from "../table/descriptor-gate.ts";
import type { Rules } from "../table/route.ts";
import type { Target } from "../table/target.ts";

/** What UDP needs of the worker's loop. */
export type UdpLoop = Pick<
  EventLoop,
  "nowMs" | "deadlines" | "watch" | "unwatch" | "close" | "continueLater" | "atTurnEnd"
>;

/** What sessions of a worker share. `S` is the session. */
export interface SessionContext<S> {
  readonly loop: UdpLoop;
  readonly worker: { readonly descriptors: Pick<DescriptorGate, "isWaitedFor" | "release"> };
  /** Datagrams on their way to tasks. */
  readonly toTasks: { forget(session: S): void };
  /** Datagrams on their way to clients. */
  readonly replies: { receiveFrom(session: S): void };
}

/** Replies of one batch, by index. */
export interface ReplyBatch<S> {
  session(index: number): S;
  /** In the worker's memory. */
  payloadAt(index: number): number;
  length(index: number): number;
}

export interface ReturnPath<S> {
  readonly context: SessionContext<S>;
  /** Why the last call gave no session. */
  readonly refusal: RefusalReason;
  /** The rules that apply to the session now. */
  rulesOf(session: S): Rules;
  /** The session has carried datagrams, in either direction. */
  touch(session: S): void;
  /** @param errnoValue positive errno that says the task cannot be reached */
  onFailed(session: S, errnoValue: number): void;
  /** Counts datagrams of the session that were not delivered. */
  refuse(session: S, reason: RefusalReason, datagrams: number): void;
  /** A session of the same client with a task not in `tried`; null when there is none. */
  move(session: S, tried: Target[]): S | null;
  /** The header before each datagram to the task, where the service wants one. */
  writeProxyHeader(session: S): Uint8Array;
  /** Sends replies first…end to their clients. */
  sendReplies(replies: ReplyBatch<S>, first: number, end: number): void;
  /** Opens another socket to the same task if it would send from another address; true: it does. */
  reopen(session: S): boolean;
  /** The session has received every reply that its service expects. */
  onDone(session: S): void;
  /** @param reason null: a normal end */
  close(session: S, reason: RefusalReason | null): void;
}
