/** A compressed message: 9 | map{Algo, Buf}, Algo 0 being LZW. What is inside begins with a type byte. [memberlist util.go] */
import { type LzwProblem, lzwDecompress, lzwFirstByte } from "./lzw.ts";
import { RecordFormat } from "./msgpack.ts";

const COMPRESSED = new RecordFormat({ Algo: "u8", Buf: "bytes" });
const LZW = 0;

/** `message` begins with the type byte. At most as many bytes come out as a message of the type that is inside may have. */
export function decompress(
  message: Uint8Array,
  maxBytesOf: (type: number) => number,
): Uint8Array | LzwProblem {
  const body = COMPRESSED.decode(message, 1);
  if (body === null || body.Buf === null || body.Algo !== LZW) return "damaged";
  return lzwDecompress(body.Buf, maxBytesOf(lzwFirstByte(body.Buf) ?? 0));
}
