/** Addresses as text here, as bytes in the kernel. */
import { AF_INET, AF_INET6 } from "../../sys/sockaddr.ts";
import { formatIp, parseIp } from "../../wire/index.ts";

/** 4 or 16 bytes of a literal address. */
export function ipBytes(text: string): Uint8Array {
  const address = parseIp(text);
  if (address === null) throw new RangeError(`cannot parse address: "${text}" is not an IP address`);
  return address.bytes;
}

export function familyOf(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF_INET : AF_INET6;
}

/** undefined for anything but 4 or 16 bytes. */
export function ipText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length === 4) return formatIp(4, bytes);
  return bytes?.length === 16 ? formatIp(6, bytes) : undefined;
}

/** "02:42:0a:d2:00:01" */
export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** 6 bytes of "02:42:0a:d2:00:01". */
export function macBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw new RangeError(`cannot parse address: "${text}" is not a MAC address`);
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}
