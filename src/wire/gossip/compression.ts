/** A compressed message: 9 | map{Algo, Buf}, Algo 0 being LZW. What is inside begins with a type byte. [memberlist util.go] */
import { type LzwProblem, lzwCompress, lzwDecompress, lzwFirstByte } from "./lzw.ts";
import { COMPRESS } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { RecordFormat } from "./record.ts";

const COMPRESSED = new RecordFormat({ Algo: "u8", Buf: "bytes" });
const LZW = 0;

/** The message compressed, or as it is where that would not make it shorter. */
export function compressIfShorter(message: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter().byte(COMPRESS);
  COMPRESSED.write(writer, { Algo: LZW, Buf: lzwCompress(message) });
  return writer.bytes.length < message.length ? writer.bytes : message;
}

/** `message` begins with the type byte. At most as many bytes come out as a message of the type that is inside may have. */
export function decompress(
  message: Uint8Array,
  maxBytesOf: (type: number) => number,
): Uint8Array | LzwProblem {
  const body = COMPRESSED.read(new MsgpackReader(message, 1));
  if (body === null || body.Buf === null || body.Algo !== LZW) return "damaged";
  return lzwDecompress(body.Buf, maxBytesOf(lzwFirstByte(body.Buf) ?? 0));
}
