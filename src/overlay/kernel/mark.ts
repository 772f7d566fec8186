/**
 * How a node recognizes its own device after it was killed: by the alias, which names cluster and node. The kernel
 * takes an alias only for an existing link; a device left behind without one is recognized by its group.
 */
import type { Link } from "../rtnetlink/index.ts";

/** "pmes": a group number that no other program uses. Set when the device is made. */
export const DEVICE_GROUP = 0x706d_6573;
/** IFALIASZ without the zero byte. */
const ALIAS_BYTES_MAX = 255;

/** Of all aliases. */
const PREFIX = "portmesh ";

/** @param owner "<cluster>/<node>" */
export function aliasOf(owner: string): string {
  const alias = `${PREFIX}${owner}`;
  if (Buffer.byteLength(alias) > ALIAS_BYTES_MAX || /[\0\n]/.test(alias))
    throw new RangeError(
      `cannot mark a device as ${JSON.stringify(owner)}: longer than ${ALIAS_BYTES_MAX} bytes`,
    );
  return alias;
}

/** Of whichever node, and of either driver. */
export function isOverlayDevice({ alias, group }: Pick<Link, "alias" | "group">): boolean {
  return group === DEVICE_GROUP || alias.startsWith(PREFIX);
}

/** @param name of the device when it is made: without an alias, only the name distinguishes it from another node's */
export function isOwnDevice(link: Link, alias: string, name: string): boolean {
  if (link.kind !== "vxlan") return false;
  return link.alias === alias || (link.alias === "" && link.group === DEVICE_GROUP && link.name === name);
}
