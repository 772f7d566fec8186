/** Tells when the kernel reports anything of a device, or of routes into the overlay's subnet. */
import { SysError } from "../../sys/errno.ts";
import { NetlinkWatch } from "../../sys/netlink-watch.ts";
import {
  encodeEventFilter,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_NETCONF,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  RTNLGRP_TC,
} from "../../wire/netlink/index.ts";
import type { OverlayEnd } from "../driver.ts";
import { ipBytes } from "../rtnetlink/address-text.ts";

const GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  RTNLGRP_TC,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV4_NETCONF,
];

export class DeviceWatch {
  readonly #end: OverlayEnd;
  /** null: it cannot be had; the device is looked at from time to time all the same. */
  readonly #watch: NetlinkWatch | null;
  #interfaceIndex: number;

  constructor(end: OverlayEnd, interfaceIndex: number, onReport: () => void) {
    this.#end = end;
    this.#interfaceIndex = interfaceIndex;
    this.#watch = openWatch(this.#filter, onReport);
  }

  /** The device has this index now. */
  follow(interfaceIndex: number): void {
    if (interfaceIndex === this.#interfaceIndex) return;
    this.#interfaceIndex = interfaceIndex;
    this.#watch?.setFilter(this.#filter);
  }

  close(): void {
    this.#watch?.close();
  }

  get #filter(): Uint8Array {
    const { address, prefixLength } = this.#end;
    const interfaceIndex = this.#interfaceIndex;
    return encodeEventFilter({ interfaceIndex, network: ipBytes(address), prefixLength });
  }
}

function openWatch(filter: Uint8Array, onReport: () => void): NetlinkWatch | null {
  try {
    return new NetlinkWatch({ groups: GROUPS, filter, onReport });
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}
