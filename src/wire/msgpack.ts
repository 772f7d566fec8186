/**
 * msgpack from the network, read with @msgpack/msgpack: nothing throws, and what a message can make us allocate is
 * limited before anything is allocated.
 *
 * Encoders and decoders are kept: to make one costs more than a short message does. Each call starts afresh, also after
 * one that threw, and a call within another gets an instance of its own.
 */
import { Decoder, type DecoderOptions, Encoder, ExtData } from "@msgpack/msgpack";
import { ValueScanner } from "./value-scanner.ts";

/** Values in one message, those inside others included. */
const MAX_VALUES = 2 ** 18;

/** No extension has a meaning here, timestamps included. */
const OPAQUE_EXTENSIONS = {
  tryToEncode: () => null,
  decode: (data: Uint8Array, type: number) => new ExtData(type, data),
};

const ENCODER = new Encoder({ ignoreUndefined: true });

export interface DecodedValue {
  readonly value: unknown;
  /** Index of the first byte behind it. */
  readonly end: number;
}

export class ValueDecoder {
  readonly #decoder: Decoder;

  constructor(options: DecoderOptions = {}) {
    this.#decoder = new Decoder({ extensionCodec: OPAQUE_EXTENSIONS, ...options });
  }

  /** The value at `at`. Null when it is malformed, incomplete, or has more parts than any message needs. */
  decodeAt(bytes: Uint8Array, at: number): DecodedValue | null {
    const scanner = new ValueScanner(at, 1, MAX_VALUES);
    if (scanner.scan(bytes, bytes.length) !== "complete") return null;
    const end = scanner.offset;
    try {
      return { value: this.#decoder.decode(bytes.subarray(at, end)), end };
    } catch {
      return null;
    }
  }
}

const DECODER = new ValueDecoder();

/** Without the fields of maps that are undefined. For messages: its buffer stays as large as the largest of them. */
export function encodeValue(value: unknown): Uint8Array {
  return ENCODER.encode(value);
}

/** The value that the bytes from `at` on are; undefined when they are not exactly one. */
export function decodeWhole(bytes: Uint8Array, at = 0): unknown {
  const decoded = DECODER.decodeAt(bytes, at);
  return decoded?.end === bytes.length ? decoded.value : undefined;
}

/** Of a value that was decoded: an object with string keys. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
