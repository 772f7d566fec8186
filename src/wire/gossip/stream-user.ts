/** A user message on a stream: 8 | map{UserMsgLen} | payload. In a packet it has no length. [memberlist net.go] */
import { USER } from "./message-type.ts";
import { decodeValue, encodeBody, RecordFormat } from "./msgpack.ts";

export const STREAM_USER_HEADER = new RecordFormat({ UserMsgLen: "count" });

/** With the type byte, ready for frameStream. */
export function encodeStreamUser(payload: Uint8Array): Uint8Array {
  return encodeBody(USER, { UserMsgLen: payload.length }, payload);
}

/** The payload, as a copy; null when `bytes`, which begin with the type byte, are not a complete user message. */
export function decodeStreamUser(bytes: Uint8Array): Uint8Array | null {
  if (bytes[0] !== USER) return null;
  const header = decodeValue(bytes, 1);
  const fields = header && STREAM_USER_HEADER.read(header.value);
  if (header === null || fields === null) return null;
  const end = header.end + fields.UserMsgLen;
  return end > bytes.length ? null : new Uint8Array(bytes.subarray(header.end, end));
}
