/**
 * Finds where a plain message on a stream ends; nothing but its own lengths says so. It looks at bytes as they come,
 * each once, and needs no more of a push/pull than its header to know what is still to come.
 */

import { type ScanStatus, ValueScanner } from "../value-scanner.ts";
import { ACK, COMPRESS, ERROR, PING, PUSH_PULL, USER } from "./message-type.ts";
import { decodeValue } from "./msgpack.ts";
import { MAX_EXCHANGED_MEMBERS, PUSH_PULL_HEADER } from "./push-pull.ts";
import { STREAM_USER_HEADER } from "./stream-user.ts";

const BODY_AT = 1;

export class MessageExtent {
  readonly #type: number;
  #scanner = new ValueScanner(BODY_AT, 1);
  #isHeaderRead: boolean;
  /** Raw bytes behind the last value. */
  #rawBytes = 0;

  constructor(type: number) {
    this.#type = type;
    this.#isHeaderRead = type !== PUSH_PULL && type !== USER;
  }

  /** Whether a message of this type may come on a stream. */
  static isKnown(type: number): boolean {
    return [PING, ACK, PUSH_PULL, USER, COMPRESS, ERROR].includes(type);
  }

  /** The least length the message can have, as far as is known; after "complete" its length. */
  get leastBytes(): number {
    return this.#scanner.neededEnd + this.#rawBytes;
  }

  /** Goes on with `bytes`, which begin with the bytes of the calls before; bytes[0] is the type. */
  scan(bytes: Uint8Array): ScanStatus {
    const status = this.#scanner.scan(bytes, bytes.length);
    if (status !== "complete") return status;
    if (!this.#isHeaderRead) {
      this.#isHeaderRead = true;
      return this.#readHeader(bytes) ? this.scan(bytes) : "malformed";
    }
    return this.leastBytes <= bytes.length ? "complete" : "incomplete";
  }

  #readHeader(bytes: Uint8Array): boolean {
    const decoded = decodeValue(bytes, BODY_AT);
    if (decoded === null) return false;
    if (this.#type === USER) {
      const header = STREAM_USER_HEADER.read(decoded.value);
      this.#rawBytes = header?.UserMsgLen ?? 0;
      return header !== null;
    }
    const header = PUSH_PULL_HEADER.read(decoded.value);
    if (header === null || header.Nodes > MAX_EXCHANGED_MEMBERS) return false;
    this.#scanner = new ValueScanner(decoded.end, header.Nodes);
    this.#rawBytes = header.UserStateLen;
    return true;
  }
}
