/** One thing that `doctor` has looked at. */
import type { PortTest } from "../node/index.ts";

export interface Finding {
  /** "overlay", "relay edge-2" */
  readonly about: string;
  readonly level: "pass" | "warn" | "fail";
  readonly message: string;
  /** What to do; null: nothing. */
  readonly fix: string | null;
  /** Of the ports that it is about. */
  readonly tests?: readonly PortTest[];
}

export const FAMILY_FIX =
  "all nodes need an address of one family: set cluster.bind and node.advertise to IPv4 on all of them, or to IPv6";
