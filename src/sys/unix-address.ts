/** Addresses of AF_UNIX: a path, or with "@" a name in the abstract namespace. [unix(7)] */
import { scratch } from "./arena.ts";

export const AF_UNIX = 1;
/** sun_path has 108 bytes, the last of a path is NUL. */
export const UNIX_NAME_MAX = 107;

/** struct sockaddr_un to the scratch memory; its length. Of more than UNIX_NAME_MAX bytes the rest is cut off. */
export function writeUnixAddress(address: string): number {
  const { bytes, view } = scratch;
  const isAbstract = address.startsWith("@");
  const { written } = new TextEncoder().encodeInto(address, bytes.subarray(2, 2 + UNIX_NAME_MAX));
  view.setUint16(0, AF_UNIX, true);
  if (isAbstract) bytes[2] = 0;
  else bytes[2 + written] = 0;
  return 2 + written + (isAbstract ? 0 : 1);
}
