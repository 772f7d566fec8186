/** Bytes ↔ values, one file per format. Pure: no sockets, no clocks, no state but a count; it imports no other folder. */
export { GCM_NONCE_BYTES, Gcm } from "./aes-gcm.ts";
export { Hkdf } from "./hkdf.ts";
export { formatHostPort } from "./ip/host-port.ts";
export * from "./ip/ip-address.ts";
export { formatIp, MAX_IP_TEXT_BYTES, writeIp } from "./ip/ip-format.ts";
export { haveCommonAddress, type Prefix, PrefixSet, parsePrefix } from "./ip/prefix.ts";
export { decodeWhole, encodeValue, isMap } from "./msgpack.ts";
export { decodeProxyHeader } from "./proxy-protocol/decode.ts";
export { ProxyHeader, type ProxyTransport } from "./proxy-protocol/header.ts";
export { encodeProxyV1, PROXY_V1_MAX_BYTES } from "./proxy-protocol/v1.ts";
export {
  encodeProxyV2,
  encodeProxyV2Local,
  PROXY_V2_MAX_BYTES,
  PROXY_V2_MAX_ENCODED_BYTES,
} from "./proxy-protocol/v2.ts";
export * from "./relay/datagram.ts";
export { DatagramCipher, deriveSealedRelayKeys, type UdpRelayExchange } from "./relay/datagram-cipher.ts";
export * from "./relay/header.ts";
export * from "./relay/part.ts";
export * from "./relay/sealed-hello.ts";
export * from "./relay/sealed-record.ts";
export { decodeRelaySession, encodeRelaySession, type RelaySession } from "./relay/session.ts";
export * from "./relay/source-ports.ts";
export * from "./relay/tag.ts";
export { REPLAY_WINDOW, type ReplayVerdict, ReplayWindow } from "./replay-window.ts";
export * from "./seal-datagram.ts";
export { ClientHello, decodeClientHello, MAX_CLIENT_HELLO_BYTES } from "./tls/client-hello.ts";
