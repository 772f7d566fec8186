/** Picking the task for a new connection, session or datagram. Pure: time, randomness and counts are handed in. */
export type { Balancer, Candidate, Distance } from "./candidate.ts";
export { createBalancer } from "./create-balancer.ts";
export { hashClient, hashText } from "./hash.ts";
export { orderOfPicks } from "./order-of-picks.ts";
