import { ENODEV } from "../../sys/errno.ts";
import { NetlinkError } from "./netlink-error.ts";
import type { NetlinkSession } from "./netlink-session.ts";

/** One that is gone is fine, and so is one whose interface is gone. @param missing errno of the kernel for the former */
export function removeObject(
  session: NetlinkSession,
  what: string,
  type: number,
  request: Uint8Array,
  missing: number,
): void {
  try {
    session.change(what, type, 0, request);
  } catch (error) {
    if (!(error instanceof NetlinkError && [missing, ENODEV].includes(error.errnoValue))) throw error;
  }
}
