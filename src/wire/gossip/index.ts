/**
 * The memberlist and serf protocols: bytes ↔ values, pure. No sockets, no clocks, no randomness; whatever comes from
 * the network and cannot be read is a return value.
 */
export * from "./message.ts";
export { decodeMessage, encodeMessage } from "./message-codec.ts";
export { decodePushPull, encodePushPull, type ReceivedPushPull } from "./push-pull.ts";
export { decodeStreamUser, encodeStreamUser } from "./stream-user.ts";
export { decodeTags, encodeTags } from "./tags.ts";
