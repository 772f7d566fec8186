/**
 * An attempt that lost against another task: it goes on for a while without its client, to tell a slow task from a dead
 * one. A slow one has its time measured, so it is not hedged again; a dead one is a failure. It serves no client: the
 * connection is closed once it is known.
 *
 * Bounded by one for each target, and by the service's share of the descriptors.
 */
import { Waiting } from "../../sys/deadline-list.ts";
import { EALREADY, ETIMEDOUT } from "../../sys/errno.ts";
import { RELAY_CONNECTED } from "../../wire/index.ts";
import type { DescriptorShare } from "../table/descriptor-shares.ts";
import { type Attempt, type AttemptOwner, connectTo, errnoOfAnswer, type RelayAttempt } from "./attempt.ts";
import type { TcpContext } from "./tcp-context.ts";

/** Of `timeoutMs`, which most connects do not need. */
const TIMEOUTS = 3;

/** Takes the attempt over from its dialer when there is something to learn from it. @param share of its service */
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

  /** Its node is to blame for that. */
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
