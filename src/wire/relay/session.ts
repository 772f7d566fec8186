/**
 * What an OPEN says of its session, as a PROXY protocol header [PROXY §2.2]: the client's and the published address, and
 * in type-length-values of the range for applications which task is meant. No proof in it: the datagram has one.
 *
 *     PROXY v2, UDP · E0 service · E1 task · E2 target port (2 bytes)           names: UTF-8, 1…255 bytes
 */
import { readUint16 } from "../big-endian.ts";
import type { Endpoint } from "../ip/ip-address.ts";
import { decodeProxyHeader } from "../proxy-protocol/decode.ts";
import { ProxyHeader } from "../proxy-protocol/header.ts";
import { encodeProxyV2, PROXY_V2_MAX_ENCODED_BYTES } from "../proxy-protocol/v2.ts";

export const TLV_SERVICE = 0xe0;
export const TLV_TASK = 0xe1;
export const TLV_TARGET_PORT = 0xe2;
export const TLV_HEADER_BYTES = 3;
const MAX_NAME_BYTES = 255;
const LENGTH_AT = 14;
/** Signature, command, family and length; then two addresses and ports. */
const IPV4_BYTES = 28;
const IPV6_BYTES = 52;

const RELAY_SESSION_MAX_BYTES = PROXY_V2_MAX_ENCODED_BYTES + 3 * TLV_HEADER_BYTES + 2 * MAX_NAME_BYTES + 2;

export interface RelaySession {
  /** The client. */
  readonly source: Endpoint;
  /** The published address. */
  readonly destination: Endpoint;
  readonly service: string;
  readonly task: string;
  readonly targetPort: number;
}

/** The bytes of the header; null when a name is empty or longer than 255 bytes. */
export function encodeRelaySession(session: RelaySession): Uint8Array | null {
  const out = new Uint8Array(RELAY_SESSION_MAX_BYTES);
  const encoder = new TextEncoder();
  const [service, task] = [encoder.encode(session.service), encoder.encode(session.task)];
  if (!isRelayName(service) || !isRelayName(task)) return null;
  let end = encodeProxyV2(session.source, session.destination, "udp", out, 0);
  end = writeTlv(TLV_SERVICE, service, out, end);
  end = writeTlv(TLV_TASK, task, out, end);
  end = writeTlv(TLV_TARGET_PORT, Uint8Array.of(session.targetPort >> 8, session.targetPort), out, end);
  out[LENGTH_AT] = (end - LENGTH_AT - 2) >> 8;
  out[LENGTH_AT + 1] = end - LENGTH_AT - 2;
  return out.subarray(0, end);
}

/** Reads bytes[at … at + length), all of it; null: it is not one. Unknown type-length-values are passed over. */
export function decodeRelaySession(bytes: Uint8Array, at: number, length: number): RelaySession | null {
  const header = decodeProxyHeader(bytes, at, length, new ProxyHeader());
  if (header.status !== "complete" || header.headerLength !== length) return null;
  if (!header.hasEndpoints || header.transport !== "udp") return null;
  const values = readTlvs(bytes, at + (header.source.family === 4 ? IPV4_BYTES : IPV6_BYTES), at + length);
  if (values === null) return null;
  const [service, task, port] = [TLV_SERVICE, TLV_TASK, TLV_TARGET_PORT].map((type) => values.get(type));
  if (service === undefined || task === undefined || port?.length !== 2) return null;
  if (!isRelayName(service) || !isRelayName(task)) return null;
  const decoder = new TextDecoder();
  return {
    source: header.source,
    destination: header.destination,
    service: decoder.decode(service),
    task: decoder.decode(task),
    targetPort: readUint16(port, 0),
  };
}

/** Views of the values by type; null: they do not fill the bytes exactly. Of two of one type the later counts. */
export function readTlvs(bytes: Uint8Array, at: number, end: number): Map<number, Uint8Array> | null {
  const values = new Map<number, Uint8Array>();
  while (at < end) {
    if (at + TLV_HEADER_BYTES > end) return null;
    const length = readUint16(bytes, at + 1);
    values.set(bytes[at]!, bytes.subarray(at + TLV_HEADER_BYTES, at + TLV_HEADER_BYTES + length));
    at += TLV_HEADER_BYTES + length;
  }
  return at === end ? values : null;
}

export function writeTlv(type: number, value: Uint8Array, out: Uint8Array, at: number): number {
  out[at] = type;
  out[at + 1] = value.length >> 8;
  out[at + 2] = value.length;
  out.set(value, at + TLV_HEADER_BYTES);
  return at + TLV_HEADER_BYTES + value.length;
}

export function isRelayName(name: Uint8Array): boolean {
  return name.length >= 1 && name.length <= MAX_NAME_BYTES;
}
