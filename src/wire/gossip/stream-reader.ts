/**
 * Reads the one frame that comes from a TCP stream (stream.ts), in pieces of any size. With keys a plain frame is
 * refused, without keys an encrypted one; so is a label. It keeps at most the caps, and only what has arrived.
 */
import { ByteBuilder } from "./byte-builder.ts";
import { decompress } from "./compression.ts";
import { open } from "./encryption.ts";
import type { Keyring } from "./keyring.ts";
import { MessageExtent } from "./message-extent.ts";
import { COMPRESS, ENCRYPT, HAS_LABEL } from "./message-type.ts";
import { ENCRYPT_HEADER_BYTES } from "./stream.ts";

const MIB = 2 ** 20;
/** What members written in Go take. [memberlist net.go, "maxPushStateBytes"; compression cap since 0.5.4] */
const DEFAULT_MAX_FRAME_BYTES = 20 * MIB;
const DEFAULT_MAX_MESSAGE_BYTES = 40 * MIB;

export interface StreamReaderOptions {
  readonly keyring: Keyring | null;
  /** Of a plain message, or of what is sealed. Default 20 MiB. */
  readonly maxFrameBytes?: number;
  /** Of what is compressed. Default 40 MiB. */
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
  readonly #received = new ByteBuilder();
  #extent: MessageExtent | null = null;
  #progress: StreamProgress = INCOMPLETE;

  constructor({ keyring, maxFrameBytes, maxMessageBytes }: StreamReaderOptions) {
    this.#keyring = keyring;
    this.#maxFrameBytes = maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    this.#maxMessageBytes = maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES;
  }

  /** Takes the next bytes, and copies them. Once it has completed or failed, it stays so; more bytes are ignored. */
  push(chunk: Uint8Array): StreamProgress {
    if (this.#progress.status !== "incomplete" || chunk.length === 0) return this.#progress;
    this.#received.append(chunk);
    this.#progress = this.#advance(this.#received.bytes);
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
    if (received.length < end) return INCOMPLETE;
    const inner = open(received.subarray(ENCRYPT_HEADER_BYTES, end), keyring, header);
    return inner === null ? failed("cannot-decrypt") : this.#unwrap(inner);
  }

  #readPlain(received: Uint8Array, type: number): StreamProgress {
    this.#extent ??= new MessageExtent(type);
    const status = this.#extent.scan(received);
    if (status === "malformed") return failed("malformed");
    if (this.#extent.leastBytes > this.#maxFrameBytes) return failed("too-large");
    return status === "complete" ? this.#unwrap(received.subarray(0, this.#extent.leastBytes)) : INCOMPLETE;
  }

  /** `inner` is all there; whether a message in it is whole, its decoder says. */
  #unwrap(inner: Uint8Array): StreamProgress {
    if (inner[0] !== COMPRESS) return complete(inner);
    const message = decompress(inner, this.#maxMessageBytes);
    if (message === "damaged") return failed("bad-compression");
    return message === "too-large" ? failed("too-large") : complete(message);
  }
}

function complete(message: Uint8Array): StreamProgress {
  const type = message[0];
  if (type === undefined) return failed("malformed");
  if (type === COMPRESS || !MessageExtent.isKnown(type)) return failed("unknown-type");
  return { status: "complete", message };
}

function failed(reason: StreamProblem): StreamProgress {
  return { status: "failed", reason };
}
