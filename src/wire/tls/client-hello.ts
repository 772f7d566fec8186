/**
 * The server name of a TLS ClientHello at the start of a stream. [RFC 8446 §4.1.2, §5.1] [RFC 6066 §3]
 *
 *   record     type 22 · version 2 · length 2 · fragment              a message may span several records
 *   handshake  type 1 · length 3 · ClientHello
 *   hello      version 2 · random 32 · session<1> · ciphers<2> · compression<1> · extensions<2>
 *   extension  type 2 · data<2>; type 0: list<2> of (name type 1 · name<2>)
 *
 * Only what leads to the name is read: versions, ciphers and unknown extensions (GREASE, RFC 8701) are not judged. With
 * Encrypted Client Hello the name is that of the outer hello, as the client-facing server's name is public.
 */

/** Of a stream up to the end of its hello: clients with post-quantum key shares and tickets send 2 to 4 KiB. */
export const MAX_CLIENT_HELLO_BYTES = 16 * 1024;

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const MAJOR_VERSION = 3;
/** TLSPlaintext.length [RFC 8446 §5.1] */
const MAX_FRAGMENT_BYTES = 2 ** 14;
/** Clients split their hello into a handful; more cost a look at the stream each. */
const MAX_RECORDS = 32;
const VERSION_AND_RANDOM_BYTES = 34;
const SERVER_NAME_EXTENSION = 0;
const HOST_NAME = 0;
/** Of a DNS name as text [RFC 1035 §2.3.4]. */
const MAX_NAME_BYTES = 253;

export class ClientHello {
  /**
   * `malformed` is final: the stream does not start with a ClientHello of at most MAX_CLIENT_HELLO_BYTES.
   */
  status: "complete" | "incomplete" | "malformed" = "incomplete";
  /** While `incomplete`: bytes of the stream without which nothing more can be said. */
  neededBytes = 0;
  /** When `complete`: in lower case, without a trailing dot; null: none is given, or it is no name. */
  serverName: string | null = null;
}

/**
 * Reads bytes[offset…offset + length), the stream so far, into `hello` and returns it. Moves the fragments of several
 * records together, so the bytes are not those of the stream afterwards. Reads nothing outside, never throws, keeps no
 * state: while a hello is `incomplete`, call it again with all bytes received so far.
 */
export function decodeClientHello(
  bytes: Uint8Array,
  offset: number,
  length: number,
  hello: ClientHello,
): ClientHello {
  hello.status = "malformed";
  hello.neededBytes = 0;
  hello.serverName = null;
  const end = offset + length;
  let at = offset;
  const message = offset + RECORD_HEADER_BYTES;
  let messageEnd = message;
  for (let records = 0; records < MAX_RECORDS; records++) {
    if (!isRecordStart(bytes, at, end)) return hello;
    if (end - at < RECORD_HEADER_BYTES) return need(hello, at + RECORD_HEADER_BYTES - offset);
    const fragment = at + RECORD_HEADER_BYTES;
    const size = uint16(bytes, at + 3);
    if (size === 0 || size > MAX_FRAGMENT_BYTES) return hello;
    const fragmentEnd = Math.min(fragment + size, end);
    if (fragment !== messageEnd) bytes.copyWithin(messageEnd, fragment, fragmentEnd);
    messageEnd += fragmentEnd - fragment;
    at = fragment + size;
    if (messageEnd > message && bytes[message] !== CLIENT_HELLO) return hello;
    const missing = missingBytes(bytes, message, messageEnd);
    if (missing <= 0) {
      readHello(bytes, message + HANDSHAKE_HEADER_BYTES, messageEnd + missing, hello);
      return hello;
    }
    if (messageEnd - message + missing > MAX_CLIENT_HELLO_BYTES) return hello;
    if (at > end) return need(hello, Math.min(at, end + missing) - offset);
  }
  return hello;
}

/** Whether what is there can be the start of a handshake record of any version. */
function isRecordStart(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < end && bytes[at] !== HANDSHAKE_RECORD) return false;
  return at + 1 >= end || bytes[at + 1] === MAJOR_VERSION;
}

function need(hello: ClientHello, neededBytes: number): ClientHello {
  if (neededBytes > MAX_CLIENT_HELLO_BYTES) return hello;
  hello.status = "incomplete";
  hello.neededBytes = neededBytes;
  return hello;
}

/** Until the message is complete; negative: what follows it. */
function missingBytes(bytes: Uint8Array, message: number, end: number): number {
  const known = end - message;
  if (known < HANDSHAKE_HEADER_BYTES) return HANDSHAKE_HEADER_BYTES - known;
  return HANDSHAKE_HEADER_BYTES + (bytes[message + 1]! << 16) + uint16(bytes, message + 2) - known;
}

function readHello(bytes: Uint8Array, start: number, end: number, hello: ClientHello): void {
  let at = start + VERSION_AND_RANDOM_BYTES;
  for (const lengthBytes of [1, 2, 1]) {
    if (at + lengthBytes > end) return;
    at += lengthBytes + (lengthBytes === 1 ? bytes[at]! : uint16(bytes, at));
  }
  // before TLS 1.2 a hello could end here
  if (at === end) hello.status = "complete";
  else if (at + 2 <= end && at + 2 + uint16(bytes, at) === end) readExtensions(bytes, at + 2, end, hello);
}

function readExtensions(bytes: Uint8Array, start: number, end: number, hello: ClientHello): void {
  let nameAt = -1;
  let nameEnd = -1;
  for (let at = start; at < end; ) {
    if (at + 4 > end) return;
    const data = at + 4;
    const dataEnd = data + uint16(bytes, at + 2);
    if (dataEnd > end) return;
    if (uint16(bytes, at) === SERVER_NAME_EXTENSION) {
      if (nameAt >= 0) return; // which of two is meant is not known
      nameAt = data;
      nameEnd = dataEnd;
    }
    at = dataEnd;
  }
  hello.status = "complete";
  if (nameAt >= 0) readServerNames(bytes, nameAt, nameEnd, hello);
}

/** The first host name counts: there is one at most of each type. */
function readServerNames(bytes: Uint8Array, start: number, end: number, hello: ClientHello): void {
  if (start + 2 > end || start + 2 + uint16(bytes, start) !== end) {
    hello.status = "malformed";
    return;
  }
  for (let at = start + 2; at < end; ) {
    const name = at + 3;
    const nameEnd = name > end ? name : name + uint16(bytes, at + 1);
    if (nameEnd > end) {
      hello.status = "malformed";
      return;
    }
    if (bytes[at] === HOST_NAME) {
      hello.serverName = nameOf(bytes, name, nameEnd);
      return;
    }
    at = nameEnd;
  }
}

/** null where a byte cannot be in a name. */
function nameOf(bytes: Uint8Array, start: number, end: number): string | null {
  const last = end > start && bytes[end - 1] === 0x2e ? end - 1 : end;
  if (last === start || last - start > MAX_NAME_BYTES) return null;
  let name = "";
  for (let at = start; at < last; at++) {
    const byte = bytes[at]!;
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if (byte <= 0x20 || byte >= 0x7f) return null;
    name += String.fromCharCode(isUpper ? byte + 0x20 : byte);
  }
  return name;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
