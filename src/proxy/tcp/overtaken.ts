/**
 * An attempt that another task has overtaken. It continues for a while without a client, to tell a slow task from a dead
 * one: the accept time of a slow task is measured, so that its next clients wait for it; a dead one has failed. The
 * connection is closed as soon as that is known.
 *
 * Bounded by one per target, and by the service's share of the descriptors.
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { EALREADY, ETIMEDOUT } from "../../sys/errno.ts";
import { RELAY_CONNECTED } from "../../wire/index.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { type Attempt, type AttemptOwner, connectTo, errnoOfAnswer, type RelayAttempt } from "./attempt.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Times `timeoutMs`, within which most connects succeed. */
const TIMEOUTS = 3;

/** Takes the attempt over from its dialer if its outcome is worth waiting for. @param share of its service */
export function watchOvertaken(
  context: TcpContext,
  attempt: Attempt | RelayAttempt,
  share: DescriptorShare,
): void {
  const { target } = attempt;
  if (!attempt.isUndecided || target.hasOvertaken || target.isRetired) return;
  if (context.worker.descriptors.isWaitedFor || !share.hasRoom(1)) return;
  new Overtaken(context, attempt, share).start();
}

class Overtaken extends Waiting implements AttemptOwner {
  lastErrno = 0;

  constructor(
    readonly context: TcpContext,
    readonly attempt: Attempt | RelayAttempt,
    readonly share: DescriptorShare,
  ) {
    super();
  }

  start(): void {
    const { context, attempt } = this;
    attempt.dialer = this;
    attempt.target.hasOvertaken = true;
    this.share.add(1);
    context.overtakenDeadline(TIMEOUTS * attempt.timeoutMs).arm(this, context.loop.nowMs);
  }

  onAttemptEvents({ target, fd }: Attempt): void {
    const outcome = connectTo(this.context, target, fd);
    if (outcome === -EALREADY) return;
    if (outcome === 0) this.#onAccepted();
    else this.#onFailed(-outcome);
  }

  onRelayReady(): void {}

  onRelayAnswer({ peer }: RelayAttempt, answer: number): void {
    peer.onAnswered();
    if (answer === RELAY_CONNECTED) this.#onAccepted();
    else this.#onFailed(errnoOfAnswer(answer));
  }

  /** A failure of the node, not of the task. */
  onRelayLost({ peer }: RelayAttempt): void {
    peer.onFailed(this.context.loop.nowMs);
    this.close();
  }

  onDeadline(): void {
    this.#onFailed(ETIMEDOUT);
  }

  close(): void {
    this.waitingIn?.cancel(this);
    this.attempt.target.hasOvertaken = false;
    this.attempt.close();
    this.share.remove(1);
  }

  #onAccepted(): void {
    this.attempt.onAccepted();
    this.attempt.target.onAnswered();
    this.close();
  }

  #onFailed(errnoValue: number): void {
    this.attempt.target.onFailed(errnoValue, this.context.loop.nowMs);
    this.close();
  }
}
