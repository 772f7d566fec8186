/**
 * The TUN device of a node: made, given its address, put up, or not at all. It is there as long as its descriptor is,
 * so nothing is left behind whatever ends the process.
 */
import { close } from "../../sys/socket.ts";
import { adoptTun, openTun, type Tun, TunError } from "../../sys/tun.ts";
import { CLOSED_TO_OTHERS, disableIpv6 } from "../closed-device.ts";
import type { OverlayEnd } from "../driver.ts";
import { DEVICE_GROUP } from "../kernel/mark.ts";
import { deviceTaken, subnetTaken } from "../kernel/refusals.ts";
import { findSubnetClash } from "../kernel/subnet-clash.ts";
import { OverlayError } from "../overlay-error.ts";
import { addAddress, findLink, type NetlinkSession, setLink } from "../rtnetlink/index.ts";

/**
 * Of super-packets: what their segments are sent as, with a head of some 100 bytes for each, must fit into one datagram
 * of IPv4.
 */
export const GSO_BYTES_MAX = 60_000;

export interface TunDevice extends Tun {
  readonly interfaceIndex: number;
}

/** Throws OverlayError or NetlinkError; then it is gone. */
export function openDevice(
  session: NetlinkSession,
  end: OverlayEnd,
  alias: string,
  mtuBytes: number,
): TunDevice {
  const other = findLink(session, end.device);
  if (other !== null) throw deviceTaken(end, other);
  const clash = findSubnetClash(session, end);
  if (clash !== null) throw subnetTaken(end, clash);
  const tun = openOrExplain(end);
  try {
    const { device, address, prefixLength } = end;
    setLink(session, device, { alias, group: DEVICE_GROUP });
    disableIpv6(session, device);
    const { index } = findLink(session, device)!;
    setLink(session, index, { mtuBytes, gsoMaxBytes: GSO_BYTES_MAX, ipv4Settings: CLOSED_TO_OTHERS });
    addAddress(session, { interfaceIndex: index, address, prefixLength });
    setLink(session, index, { isUp: true });
    return { ...tun, interfaceIndex: index };
  } catch (error) {
    close(tun.fd);
    throw error;
  }
}

/** A device that another process of this node has made, up and with its address; null: it is not there. */
export function adoptDevice(
  session: NetlinkSession,
  { device }: OverlayEnd,
  alias: string,
  fd: number,
): TunDevice | null {
  const link = findLink(session, device);
  return link === null || link.alias !== alias ? null : { ...adoptTun(fd), interfaceIndex: link.index };
}

function openOrExplain({ device }: OverlayEnd): Tun {
  try {
    return openTun(device);
  } catch (cause) {
    if (!(cause instanceof TunError)) throw cause;
    const cannot = `cannot create ${device}: `;
    switch (cause.problem) {
      case "absent":
        throw new OverlayError("unsupported", `${cannot}${TUN_ABSENT} (${cause.message})`, { cause });
      case "not-permitted":
        throw new OverlayError("not-permitted", `${cannot}${NOT_PERMITTED} (${cause.message})`, { cause });
      case "name-taken":
        throw new OverlayError("device-taken", `${cannot}${NAME_TAKEN} (${cause.message})`, { cause });
      default:
        throw new OverlayError("refused", `${cannot}${cause.message}`, { cause });
    }
  }
}

const TUN_ABSENT =
  "/dev/net/tun cannot be used; load the module (modprobe tun), give the container the device " +
  '(--device /dev/net/tun), or set overlay.driver = "kernel" or "none"';

const NOT_PERMITTED =
  "CAP_NET_ADMIN is missing; run as root, grant it (AmbientCapabilities=CAP_NET_ADMIN in the unit, " +
  '--cap-add NET_ADMIN for the container), or set overlay.driver = "none"';

const NAME_TAKEN = "the name is taken or not valid; set another overlay.port, which is part of the name";
