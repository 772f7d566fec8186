/**
 * Tags in a member's meta, serf's way: 0xff, then a msgpack map of strings. Meta that does not begin so is, as a
 * whole, the tag "role". Keys and values are UTF-8 here. [serf serf.go, "encodeTags", "decodeTags"]
 */
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";

const TAGS_MAGIC = 0xff;

/** Keys in byte order, so that the same tags are the same bytes. Members allow 512 bytes of meta. */
export function encodeTags(tags: Readonly<Record<string, string>>): Uint8Array {
  const encoder = new TextEncoder();
  const entries = Object.entries(tags).map(
    ([key, value]) => [encoder.encode(key), encoder.encode(value)] as const,
  );
  entries.sort(([a], [b]) => Buffer.compare(a, b));
  const writer = new MsgpackWriter().byte(TAGS_MAGIC).mapOf(entries.length);
  for (const [key, value] of entries) writer.bytesOrNil(key).bytesOrNil(value);
  return writer.bytes;
}

/** Tags without a prototype, so no key is special. Damaged tags are none. Bytes that are not UTF-8 become U+FFFD. */
export function decodeTags(meta: Uint8Array): Record<string, string> {
  const tags: Record<string, string> = Object.create(null);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  if (meta[0] !== TAGS_MAGIC) {
    tags.role = decoder.decode(meta);
    return tags;
  }
  const reader = new MsgpackReader(meta, 1);
  for (let left = reader.mapLength(); left > 0 && !reader.failed; left--) {
    const key = decoder.decode(reader.bytes() ?? new Uint8Array());
    tags[key] = decoder.decode(reader.bytes() ?? new Uint8Array());
  }
  return reader.failed ? Object.create(null) : tags;
}
