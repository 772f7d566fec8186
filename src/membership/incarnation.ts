/**
 * The order of incarnations: serial numbers [RFC 1982], after 2^32 - 1 comes 1. So a member can answer whatever it is
 * accused of with a higher one, also when a forged message used the highest.
 *
 * Only numbers within LEAP of each other have an order. A member raises its own by one at a time, so what is further away
 * is made up, or this node has missed a lot; it is neither believed about others nor handed on. A small leap also keeps
 * three claims from each being newer than the one before, all around the circle, which would circulate without end.
 *
 * Deviates: memberlist compares plain numbers, and the last one cannot be refuted.
 */
export const MAX_INCARNATION = 0xffff_ffff;
const LEAP = 2 ** 16;

export type IncarnationOrder = "same" | "newer" | "older" | "far";

export function compareIncarnations(said: number, known: number): IncarnationOrder {
  const distance = (said - known) >>> 0;
  if (distance === 0) return "same";
  if (distance <= LEAP) return "newer";
  return distance > MAX_INCARNATION - LEAP ? "older" : "far";
}

/** 0 is left out: with it members written in Go take a node they do not know for dead. */
export function nextIncarnation(incarnation: number): number {
  return incarnation === MAX_INCARNATION ? 1 : incarnation + 1;
}
