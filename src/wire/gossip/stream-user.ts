/** A user message on a stream: 8 | map{UserMsgLen} | payload. In a packet it has no length. [memberlist net.go] */
import { USER } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { RecordFormat } from "./record.ts";

export const STREAM_USER_HEADER = new RecordFormat({ UserMsgLen: "count" });

/** With the type byte, ready for frameStream. */
export function encodeStreamUser(payload: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter().byte(USER);
  STREAM_USER_HEADER.write(writer, { UserMsgLen: payload.length });
  return writer.verbatim(payload).bytes;
}

/** The payload, as a copy; null when `bytes`, which begin with the type byte, are no whole user message. */
export function decodeStreamUser(bytes: Uint8Array): Uint8Array | null {
  if (bytes[0] !== USER) return null;
  const reader = new MsgpackReader(bytes, 1);
  const header = STREAM_USER_HEADER.read(reader);
  if (header === null) return null;
  const payload = reader.verbatim(header.UserMsgLen);
  return reader.failed ? null : payload;
}
