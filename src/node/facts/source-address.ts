/**
 * The address that packets to other nodes leave from: of several, the system picks the one it likes best, and others
 * refuse what does not come from the announced one. null: whichever the system picks, as behind NAT, where the
 * announced address is not of this machine.
 */
import { isWildcard } from "../../wire/index.ts";

/** @param hasAnnounced whether the announced address is of this machine now */
export function sourceAddress(announced: string, bindHost: string, hasAnnounced: boolean): string | null {
  if (!isWildcard(bindHost)) return bindHost;
  return hasAnnounced ? announced : null;
}
