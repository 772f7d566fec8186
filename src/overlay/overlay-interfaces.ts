/**
 * Interfaces of overlays, of this node or another one on this machine, also those that a killed node has left behind:
 * their addresses are never the ones that nodes reach each other by.
 */
import { EACCES, EAFNOSUPPORT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT } from "../sys/errno.ts";
import { isOverlayDevice } from "./kernel/mark.ts";
import { listLinks, NetlinkError, NetlinkSession } from "./rtnetlink/index.ts";

/** A sandbox forbids netlink, or the kernel has none: then it has no overlay either. */
const CANNOT_BE_ASKED: ReadonlySet<number> = new Set([
  EACCES,
  EAFNOSUPPORT,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
]);

/** Names; without any where the kernel cannot be asked. Throws NetlinkError when it was asked and did not say. */
export function readOverlayInterfaces(open = NetlinkSession.open): ReadonlySet<string> {
  try {
    const session = open();
    try {
      return new Set(
        listLinks(session)
          .filter(isOverlayDevice)
          .map(({ name }) => name),
      );
    } finally {
      session.close();
    }
  } catch (error) {
    if (error instanceof NetlinkError && CANNOT_BE_ASKED.has(error.errnoValue)) return new Set();
    throw error;
  }
}
