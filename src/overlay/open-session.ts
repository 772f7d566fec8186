/** The netlink session of a driver; without one there is no driver. */
import type { OverlayEnd } from "./driver.ts";
import { OverlayError } from "./overlay-error.ts";
import { NetlinkError, NetlinkSession } from "./rtnetlink/index.ts";

export function openSession({ device }: OverlayEnd): NetlinkSession {
  try {
    return NetlinkSession.open();
  } catch (cause) {
    if (!(cause instanceof NetlinkError)) throw cause;
    throw new OverlayError("unsupported", `cannot create ${device}: ${cause.message}`, { cause });
  }
}
