/** Addresses in records. */
import type { Endpoint } from "../../wire/index.ts";
import { formatIp } from "../../wire/index.ts";

/** "192.0.2.1:80", "[2001:db8::1]:80" */
export function addressText(endpoint: Endpoint): string {
  const ip = ipText(endpoint);
  return endpoint.family === 6 ? `[${ip}]:${endpoint.port}` : `${ip}:${endpoint.port}`;
}

/** As HAProxy writes it: "2001:db8::1:80". */
export function haproxyAddress(endpoint: Endpoint): string {
  return `${ipText(endpoint)}:${endpoint.port}`;
}

function ipText({ family, bytes, offset }: Endpoint): string {
  if (family === 6) return formatIp(6, bytes, offset);
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

export function areSame(one: Endpoint, other: Endpoint): boolean {
  if (one.port !== other.port || one.family !== other.family) return false;
  const length = one.family === 6 ? 16 : 4;
  for (let i = 0; i < length; i++)
    if (one.bytes[one.offset + i] !== other.bytes[other.offset + i]) return false;
  return true;
}
