/**
 * msgpack from the network, read with @msgpack/msgpack: nothing throws, and what a message can make us allocate is
 * limited before anything is allocated.
 */
import { type DecoderOptions, decode, ExtData } from "@msgpack/msgpack";
import { ValueScanner } from "./value-scanner.ts";

/** Values in one message, those inside others included. */
const MAX_VALUES = 2 ** 18;

/** No extension has a meaning here, timestamps included. */
const OPAQUE_EXTENSIONS = {
  tryToEncode: () => null,
  decode: (data: Uint8Array, type: number) => new ExtData(type, data),
};

export interface DecodedValue {
  readonly value: unknown;
  /** Index of the first byte behind it. */
  readonly end: number;
}

/** The value at `at`. Null when it is malformed, incomplete, or has more parts than any message needs. */
export function decodeValueAt(
  bytes: Uint8Array,
  at: number,
  options: DecoderOptions = {},
): DecodedValue | null {
  const scanner = new ValueScanner(at, 1, MAX_VALUES);
  if (scanner.scan(bytes, bytes.length) !== "complete") return null;
  const end = scanner.offset;
  try {
    return { value: decode(bytes.subarray(at, end), { extensionCodec: OPAQUE_EXTENSIONS, ...options }), end };
  } catch {
    return null;
  }
}

/** The value that the bytes from `at` on are; undefined when they are not exactly one. */
export function decodeWhole(bytes: Uint8Array, at = 0): unknown {
  const decoded = decodeValueAt(bytes, at);
  return decoded?.end === bytes.length ? decoded.value : undefined;
}

/** Of a value that was decoded: an object with string keys. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
