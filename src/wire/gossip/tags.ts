/**
 * Tags in a member's meta, serf's way: 0xff, then a msgpack map of strings. Meta that does not begin so is, as a
 * whole, the tag "role". Keys and values are UTF-8 here. [serf serf.go, "encodeTags", "decodeTags"]
 */
import { encode } from "@msgpack/msgpack";
import { decodeValue, entriesOf, withType } from "./msgpack.ts";

const TAGS_MAGIC = 0xff;

/** Keys are sorted, so that the same tags are the same bytes. Members allow 512 bytes of meta. */
export function encodeTags(tags: Readonly<Record<string, string>>): Uint8Array {
  return withType(TAGS_MAGIC, encode(tags, { sortKeys: true }));
}

/** Tags without a prototype, so no key is special. Damaged tags are none; bytes of values that are not UTF-8 become U+FFFD. */
export function decodeTags(meta: Uint8Array): Record<string, string> {
  const tags: Record<string, string> = Object.create(null);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  if (meta[0] !== TAGS_MAGIC) {
    tags.role = decoder.decode(meta);
    return tags;
  }
  for (const [key, value] of entriesOf(decodeValue(meta, 1)?.value) ?? []) {
    if (value !== null && !(value instanceof Uint8Array)) return Object.create(null);
    tags[key] = decoder.decode(value ?? new Uint8Array());
  }
  return tags;
}
