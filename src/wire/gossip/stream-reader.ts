/**
 * Reads the one frame that comes from a TCP stream (stream.ts), in pieces of any size. With keys a plain frame is
 * refused, without keys an encrypted one; so is a label. It keeps at most the caps, and only what has arrived: a length
 * that is announced is compared with the caps, and nothing is allocated for it.
 */
import { ByteBuilder } from "./byte-builder.ts";
import { decompress } from "./compression.ts";
import { open } from "./encryption.ts";
import type { Keyring } from "./keyring.ts";
import { MessageExtent } from "./message-extent.ts";
import { COMPRESS, ENCRYPT, HAS_LABEL } from "./message-type.ts";
import { ENCRYPT_HEADER_BYTES } from "./stream.ts";
import { MAX_STREAM_BYTES, maxStreamBytes } from "./stream-limits.ts";

/** LZW makes a push/pull a sixth to a sixtieth of what it was; bombs a thousandth. Small ones do no harm. */
const MAX_COMPRESSION = 256;
const FREE_BYTES = 64 * 1024;

export interface StreamReaderOptions {
  readonly keyring: Keyring | null;
  /** Of a plain message, or of what is sealed; by default the largest of stream-limits.ts. */
  readonly maxFrameBytes?: number;
  /** Of what is compressed; by default the same. Each kind of message has a limit of its own besides. */
  readonly maxMessageBytes?: number;
}

export type StreamProblem =
  | "label"
  /** Encrypted, and we have no keys. */
  | "encrypted"
  /** Plain, and we have keys. */
  | "not-encrypted"
  | "cannot-decrypt"
  | "bad-compression"
  | "too-large"
  | "malformed"
  | "unknown-type";

export type StreamProgress =
  | { readonly status: "incomplete" }
  /** Decrypted, decompressed, beginning with its type byte, in memory of its own. */
  | { readonly status: "complete"; readonly message: Uint8Array }
  | { readonly status: "failed"; readonly reason: StreamProblem };

const INCOMPLETE: StreamProgress = { status: "incomplete" };

export class StreamReader {
  readonly #keyring: Keyring | null;
  readonly #maxFrameBytes: number;
  readonly #maxMessageBytes: number;
  #received = new ByteBuilder();
  #extent: MessageExtent | null = null;
  #progress: StreamProgress = INCOMPLETE;

  constructor({ keyring, maxFrameBytes, maxMessageBytes }: StreamReaderOptions) {
    this.#keyring = keyring;
    this.#maxFrameBytes = maxFrameBytes ?? MAX_STREAM_BYTES;
    this.#maxMessageBytes = maxMessageBytes ?? MAX_STREAM_BYTES;
  }

  /** Takes the next bytes, and copies them. Once it has completed or failed, it stays so; more bytes are ignored. */
  push(chunk: Uint8Array): StreamProgress {
    if (this.#progress.status !== "incomplete" || chunk.length === 0) return this.#progress;
    this.#received.append(chunk);
    this.#progress = this.#advance(this.#received.bytes);
    if (this.#progress.status !== "incomplete") this.#received = new ByteBuilder();
    return this.#progress;
  }

  #advance(received: Uint8Array): StreamProgress {
    const type = received[0]!;
    if (type === HAS_LABEL) return failed("label");
    if (type === ENCRYPT)
      return this.#keyring === null ? failed("encrypted") : this.#open(received, this.#keyring);
    if (!MessageExtent.isKnown(type)) return failed("unknown-type");
    return this.#keyring === null ? this.#readPlain(received, type) : failed("not-encrypted");
  }

  #open(received: Uint8Array, keyring: Keyring): StreamProgress {
    if (received.length < ENCRYPT_HEADER_BYTES) return INCOMPLETE;
    const header = received.subarray(0, ENCRYPT_HEADER_BYTES);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > this.#maxFrameBytes) return failed("too-large");
    const end = ENCRYPT_HEADER_BYTES + length;
    this.#received.expect(end);
    if (received.length < end) return INCOMPLETE;
    const inner = open(received.subarray(ENCRYPT_HEADER_BYTES, end), keyring, header);
    return inner === null ? failed("cannot-decrypt") : this.#unwrap(inner);
  }

  #readPlain(received: Uint8Array, type: number): StreamProgress {
    this.#extent ??= new MessageExtent(type);
    const status = this.#extent.scan(received);
    if (status === "malformed") return failed("malformed");
    const { leastBytes } = this.#extent;
    if (leastBytes > Math.min(this.#maxFrameBytes, maxStreamBytes(type))) return failed("too-large");
    return status === "complete" ? this.#unwrap(received.subarray(0, leastBytes)) : INCOMPLETE;
  }

  /** `inner` is all there; whether a message in it is whole, its decoder says. */
  #unwrap(inner: Uint8Array): StreamProgress {
    if (inner[0] !== COMPRESS) return complete(inner);
    const plausibleBytes = FREE_BYTES + MAX_COMPRESSION * inner.length;
    const maxBytes = Math.min(this.#maxMessageBytes, plausibleBytes);
    const message = decompress(inner, (type) => Math.min(maxBytes, maxStreamBytes(type)));
    if (message === "damaged") return failed("bad-compression");
    return message === "too-large" ? failed("too-large") : complete(message);
  }
}

function complete(message: Uint8Array): StreamProgress {
  const type = message[0];
  if (type === undefined) return failed("malformed");
  if (type === COMPRESS || !MessageExtent.isKnown(type)) return failed("unknown-type");
  if (message.length > maxStreamBytes(type)) return failed("too-large");
  return { status: "complete", message };
}

function failed(reason: StreamProblem): StreamProgress {
  return { status: "failed", reason };
}
