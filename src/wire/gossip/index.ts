/**
 * The memberlist and serf protocols: bytes ↔ values, pure. No sockets, no clocks, no randomness; whatever comes from
 * the network and cannot be read is a return value.
 */
export { COMPOUND_PART_BYTES } from "./compound.ts";
export { NONCE_BYTES } from "./encryption.ts";
export { Keyring } from "./keyring.ts";
export * from "./message.ts";
export { decodeMessage, encodeMessage } from "./message-codec.ts";
export { USER as USER_MESSAGE } from "./message-type.ts";
export {
  framePacket,
  type OpenedPacket,
  openPacket,
  type PacketOptions,
  packetOverheadBytes,
} from "./packet.ts";
export { decodePushPull, encodePushPull, PushPullReader } from "./push-pull.ts";
export * from "./serf.ts";
export { decodeSerfState, encodeSerfState, type SerfRecentEvent, type SerfState } from "./serf-state.ts";
export { frameStream } from "./stream.ts";
export { MAX_SHORT_BYTES } from "./stream-limits.ts";
export {
  type StreamProgress,
  StreamReader,
  type StreamReaderOptions,
} from "./stream-reader.ts";
export { decodeStreamUser, encodeStreamUser } from "./stream-user.ts";
export { decodeTags, encodeTags } from "./tags.ts";
