/** The filter on the VXLAN device. A device without one must not be: what cannot be had is an OverlayError. */
import { ENOENT, EOPNOTSUPP } from "../../sys/errno.ts";
import type { OverlayEnd } from "../driver.ts";
import { NetlinkError, type NetlinkSession, setIngressFilter } from "../rtnetlink/index.ts";
import { filterUnsupported } from "./refusals.ts";

/** Throws OverlayError or NetlinkError. */
export function setFilter(
  session: NetlinkSession,
  end: OverlayEnd,
  interfaceIndex: number,
  program: Uint8Array,
): void {
  try {
    setIngressFilter(session, interfaceIndex, program);
  } catch (error) {
    const isMissing = error instanceof NetlinkError && [ENOENT, EOPNOTSUPP].includes(error.errnoValue);
    throw isMissing ? filterUnsupported(end, error) : error;
  }
}
