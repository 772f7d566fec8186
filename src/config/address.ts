/**
 * Addresses, prefixes, DNS names and bind rules as an operator writes them -> one canonical spelling each, or null.
 * IPv4-mapped IPv6 addresses become the IPv4 address they mean, because that is how clients are compared.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Prefix = readonly [Address, number];

/** Linux: IFNAMSIZ is 16 with the final NUL. A name of digits and dots only would hide a mistyped address. */
const interfaceName = /^(?![\d.]+$)[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,14}$/;

/** RFC 1123 labels, and the underscore that container engines put into names. */
const dnsLabel = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Without zone: "fe80::1%eth0" means nothing on another machine. */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text);
  return address === null ? null : print(address);
}

/** An address becomes the prefix of that one address; host bits are cleared: "10.0.0.5/8" -> "10.0.0.0/8". */
export function canonicalPrefix(text: string): string | null {
  const prefix = parsePrefix(text);
  return prefix === null ? null : `${print(prefix[0])}/${prefix[1]}`;
}

/** Lower case, without the final dot. */
export function canonicalDnsName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, "");
  const labels = name.split(".");
  const endsInNumber = /^\d+$/.test(labels.at(-1) ?? ""); // such a name can only be a mistyped IPv4 address
  return name.length <= 253 && !endsInNumber && labels.every((label) => dnsLabel.test(label)) ? name : null;
}

/** An address, a prefix or an interface name: where a listener may bind. */
export function canonicalBind(text: string): string | null {
  if (text.includes("/")) return canonicalPrefix(text);
  return canonicalAddress(text) ?? (interfaceName.test(text) ? text : null);
}

/**
 * Whether one local address could be meant by both rules; both are lists from canonicalBind, [] = every address.
 * What addresses an interface has is not known here, so an interface could hold any address;
 * two interfaces of different names are taken as disjoint.
 */
export function canBindsOverlap(left: readonly string[], right: readonly string[]): boolean {
  if (left.length === 0 || right.length === 0) return true;
  return left.some((one) => right.some((other) => canEntriesOverlap(one, other)));
}

function canEntriesOverlap(left: string, right: string): boolean {
  const a = parseBindPrefix(left);
  const b = parseBindPrefix(right);
  if (a === null && b === null) return left === right;
  if (a === null || b === null) return true;
  if (a[0].kind() !== b[0].kind()) return false;
  return a[0].match(b[0], Math.min(a[1], b[1]));
}

/** null for an interface name. The wildcard addresses stand for their whole family. */
function parseBindPrefix(bind: string): Prefix | null {
  if (bind === "0.0.0.0" || bind === "::") return parsePrefix(`${bind}/0`);
  return parsePrefix(bind);
}

/** "192.0.2.1:80", "[2001:db8::1]:80" */
export function formatHostPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseAddress(text: string): Address | null {
  return isIP(text) === 0 || text.includes("%") ? null : ipaddr.process(text);
}

function parsePrefix(text: string): Prefix | null {
  const [host = "", length, ...rest] = text.split("/");
  const address = parseAddress(host);
  if (address === null || rest.length > 0) return null;
  const isIPv4 = address.kind() === "ipv4";
  const mappedBits = isIPv4 && host.includes(":") ? 96 : 0;
  const maxBits = isIPv4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const bits = length === undefined ? maxBits : Number(length) - mappedBits;
  if (bits < 0 || bits > maxBits) return null;
  const network = isIPv4 ? ipaddr.IPv4 : ipaddr.IPv6;
  return [network.networkAddressFromCIDR(`${print(address)}/${bits}`), bits];
}

function print(address: Address): string {
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
