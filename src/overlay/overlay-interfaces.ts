/**
 * Interfaces of overlays, of this node or another one on this machine, also those that a killed node has left behind:
 * their addresses are never the ones that nodes reach each other by.
 */
import { isOverlayDevice } from "./kernel/mark.ts";
import { listLinks, NetlinkError, NetlinkSession } from "./rtnetlink/index.ts";

/** Names; without any where the kernel may not be asked. */
export function readOverlayInterfaces(): ReadonlySet<string> {
  try {
    const session = NetlinkSession.open();
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
    if (error instanceof NetlinkError) return new Set();
    throw error;
  }
}
