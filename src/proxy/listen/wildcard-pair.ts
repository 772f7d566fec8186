/**
 * A port that one service has at both wildcard addresses needs one socket, at "::" for both families, instead of two.
 *
 * The listener at "::" has the sockets then, the one at "0.0.0.0" has none of its own. Where one socket cannot be had,
 * because another program has the port at one family, there is one for each after all.
 */
import { type ListenAddress, listenerKey } from "./listen-address.ts";

export interface Wanted {
  readonly service: string;
  readonly at: ListenAddress;
  /** Other services that share it by server names. */
  readonly sharedWith?: readonly string[];
}

/** The same port at the other wildcard, if the same services want both. */
export function otherWildcard(
  { service, at, sharedWith = [] }: Wanted,
  wanted: ReadonlyMap<string, Wanted>,
): Wanted | null {
  const address = at.address === "0.0.0.0" ? "::" : at.address === "::" ? "0.0.0.0" : null;
  if (address === null) return null;
  const other = wanted.get(listenerKey({ ...at, address }));
  const isSame = other?.service === service && Bun.deepEquals(other.sharedWith ?? [], sharedWith);
  return isSame ? other : null;
}

/** The places that need a socket, if every pair gets one. */
export function withoutPaired(wanted: ReadonlyMap<string, Wanted>): ListenAddress[] {
  return [...wanted.values()]
    .filter((each) => each.at.address !== "0.0.0.0" || otherWildcard(each, wanted) === null)
    .map(({ at }) => at);
}
