/** What rtnetlink refuses, as an error that says what to grant. */
import { EPERM } from "../../sys/errno.ts";
import type { OverlayEnd } from "../driver.ts";
import { OverlayError } from "../overlay-error.ts";
import { NetlinkError } from "../rtnetlink/index.ts";

/** Returns errors other than NetlinkError unchanged. */
export function explainNetlink(error: unknown, { device }: OverlayEnd): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const code = error.errnoValue === EPERM ? "not-permitted" : "refused";
  return new OverlayError(code, `cannot set up ${device}: ${error.message}`, { cause: error });
}
