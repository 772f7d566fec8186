/** Bytes ↔ values, one file per format. Pure: no sockets, no clocks, no state but a count; it imports no other folder. */
export { GCM_NONCE_BYTES, Gcm } from "./aes-gcm.ts";
export * from "./ip-address.ts";
export { formatIp, MAX_IP_TEXT_BYTES, writeIp } from "./ip-format.ts";
export * from "./link-ports.ts";
export { type Prefix, PrefixSet, parsePrefix } from "./prefix.ts";
export { ProxyHeader, type ProxyTransport } from "./proxy-header.ts";
export { decodeProxyHeader } from "./proxy-protocol.ts";
export { encodeProxyV1, PROXY_V1_MAX_BYTES } from "./proxy-protocol-v1.ts";
export {
  encodeProxyV2,
  encodeProxyV2Local,
  PROXY_V2_MAX_BYTES,
  PROXY_V2_MAX_ENCODED_BYTES,
} from "./proxy-protocol-v2.ts";
export { DatagramCipher, deriveSealedLinkKeys, type LinkExchange } from "./relay-cipher.ts";
export * from "./relay-datagram.ts";
export * from "./relay-header.ts";
export * from "./relay-part.ts";
export { decodeRelaySession, encodeRelaySession, type RelaySession } from "./relay-session.ts";
export * from "./relay-tag.ts";
export { REPLAY_WINDOW, type ReplayVerdict, ReplayWindow } from "./replay-window.ts";
export * from "./seal-datagram.ts";
export * from "./sealed-hello.ts";
export * from "./sealed-record.ts";
export * from "./service-limits.ts";
