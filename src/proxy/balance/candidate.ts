/**
 * What balancing needs to know of a task, and the interface of every balancer.
 * A balancer picks for one service on one worker; it holds no connection counts and no clock of its own.
 */

/** How far away a task is: on this node, in this node's zone, elsewhere. */
export type Distance = "local" | "zone" | "far";

export interface Candidate {
  /** 1…256, share of new connections. */
  readonly weight: number;
  /** Gets no new connection. */
  readonly isDraining: boolean;
  /** Gets a new connection only when no other candidate can. Absent: false. */
  readonly isBackup?: boolean;
  /** Its health check wants no new connection to it. Absent: false. */
  readonly isOutOfRotation?: boolean;
  /** uint32 from `hashText` of what identifies the task, the same on every node. */
  readonly hash: number;
  /** Passed over until then, unless no other is left. 0 = not failing. */
  readonly failingUntilMs: number;
  readonly distance: Distance;
  /** Connections or sessions that are open now. */
  openConnections(): number;
}

export interface Balancer<C extends Candidate> {
  /**
   * The task for a new connection; null when every candidate drains or has been tried. Allocates nothing.
   * `clientHash` is from `hashClient`; `nowMs` is on the clock of `failingUntilMs`; `tried` are the tasks whose
   * connect has failed for this client already, null for none.
   */
  pick(clientHash: number, nowMs: number, tried: readonly C[] | null): C | null;
}

/** Whether a candidate may be picked, failing ones excluded; with `nowMs` Infinity they are included. */
export function isEligible<C extends Candidate>(
  candidate: C,
  nowMs: number,
  tried: readonly C[] | null,
): boolean {
  if (candidate.isDraining || candidate.isOutOfRotation === true) return false;
  if (candidate.failingUntilMs > nowMs) return false;
  return tried === null || !tried.includes(candidate);
}
