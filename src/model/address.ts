/**
 * Addresses, prefixes and DNS names as an operator writes them -> one canonical spelling each, or null.
 * An IPv4-mapped IPv6 address becomes the IPv4 address it stands for, because clients are compared that way.
 */
import { formatIp, isMappedIpv4, type Prefix, parseIp, parsePrefix } from "../wire/index.ts";

/** RFC 1123 labels, and the underscore that container engines put into names. */
const DNS_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
const MAX_DNS_NAME_LENGTH = 253;

/** Dotted quad without leading zeros: what nearly every address is, and canonical as it is. */
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^(?:${OCTET}\\.){3}${OCTET}$`);

/** Without zone: "fe80::1%eth0" means nothing on another machine. */
export function canonicalAddress(text: string): string | null {
  if (IPV4.test(text)) return text;
  const address = parseIp(text);
  if (address === null) return null;
  const { family, bytes } = address;
  return family === 6 && isMappedIpv4(bytes, 0) ? formatIp(4, bytes, 12) : formatIp(family, bytes);
}

/** An address becomes the prefix of that one address; host bits are cleared: "10.0.0.5/8" -> "10.0.0.0/8". */
export function canonicalPrefix(text: string): string | null {
  if (text === "0.0.0.0/0" || text === "::/0") return text;
  const prefix = parsePrefix(text);
  if (prefix === null || isMappedInPart(prefix, text)) return null;
  return `${formatIp(prefix.family, prefix.network)}/${prefix.lengthBits}`;
}

/** Lower case, without the final dot. */
function canonicalDnsName(text: string): string | null {
  const name = text.replace(/\.$/, "");
  const labels = name.split(".");
  const endsInNumber = /^\d+$/.test(labels.at(-1) ?? ""); // such a name can only be a mistyped IPv4 address
  const isName = name.length <= MAX_DNS_NAME_LENGTH && labels.every((label) => DNS_LABEL.test(label));
  return isName && !endsInNumber ? name.toLowerCase() : null;
}

export function canonicalHost(text: string): string | null {
  return canonicalAddress(text) ?? canonicalDnsName(text);
}

/** "::ffff:10.0.0.1/90": some of its addresses are IPv4 addresses, others are not. */
function isMappedInPart({ family, lengthBits }: Prefix, text: string): boolean {
  if (family === 4 || lengthBits >= 96 || !/ffff/i.test(text)) return false;
  return isMappedIpv4(parseIp(text.slice(0, text.indexOf("/")))!.bytes, 0);
}
