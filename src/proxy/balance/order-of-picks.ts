/** For one client, every candidate in the order in which it would be tried. Takes the turns it asks for. */
import type { Balancer, Candidate } from "./candidate.ts";

export function orderOfPicks<C extends Candidate>(
  balancer: Balancer<C>,
  clientHash: number,
  nowMs: number,
): C[] {
  const order: C[] = [];
  for (;;) {
    const next = balancer.pick(clientHash, nowMs, order);
    if (next === null) return order;
    order.push(next);
  }
}
