/**
 * Where the clients of sessions are: behind a listener of this node (`SessionSet`), or behind another node that has
 * accepted them and relays them here (`link/exit-returnPath.ts`). What lies between a session and its task is the same.
 */
import type { RefusalReason } from "../table/counters.ts";
import type { Rules } from "../table/route.ts";
import type { Target } from "../table/target.ts";
import type { UdpSession } from "./session.ts";
import type { UdpContext } from "./udp-context.ts";

export interface ReturnPath {
  readonly context: UdpContext;
  /** Why the last call gave no session. */
  readonly refusal: RefusalReason;
  /** The rules that hold for the session now. */
  rulesOf(session: UdpSession): Rules;
  /** It has carried datagrams, either way. */
  touch(session: UdpSession): void;
  /** @param errnoValue positive errno that says the task cannot be reached */
  onFailed(session: UdpSession, errnoValue: number): void;
  /** Counts datagrams of the session that were not delivered. */
  refuse(session: UdpSession, reason: RefusalReason, datagrams: number): void;
  /** A session of the same client with a task not in `tried`; null when there is none. */
  move(session: UdpSession, tried: Target[]): UdpSession | null;
  /** The header that goes before each datagram to the task, where the service wants one. */
  writeProxyHeader(session: UdpSession): Uint8Array;
  /** Sends the answers in slots first…end of `Replies` to the clients. */
  sendAnswers(first: number, end: number): void;
  /** Opens another socket to the same task if it then goes out from another address; true: it does. */
  reopen(session: UdpSession): boolean;
  /** It has had all answers that its service says there are. */
  onDone(session: UdpSession): void;
  /** @param reason null: in the normal course of things */
  close(session: UdpSession, reason: RefusalReason | null): void;
}
