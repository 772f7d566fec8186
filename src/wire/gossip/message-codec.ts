/**
 * The messages of message.ts ↔ bytes: one type byte, then a msgpack map, except for user messages, which are raw.
 * Byte slices are written as bin, which members written in Go accept for them. [memberlist net.go]
 *
 * Push/pull, and user messages on a stream, have lengths of their own: push-pull.ts, stream-user.ts.
 */
import type { AliveMessage, DeadMessage, GossipMessage, PingSource, SuspectMessage } from "./message.ts";
import * as type from "./message-type.ts";
import { encodeBody, RecordFormat, withType } from "./msgpack.ts";

const PING = new RecordFormat({
  Node: "string",
  SeqNo: "u32",
  SourceAddr: "bytes",
  SourceNode: "string",
  SourcePort: "u16",
});

const INDIRECT_PING = new RecordFormat({
  Nack: "bool",
  Node: "string",
  Port: "u16",
  SeqNo: "u32",
  SourceAddr: "bytes",
  SourceNode: "string",
  SourcePort: "u16",
  Target: "bytes",
});

const ACK = new RecordFormat({ Payload: "bytes", SeqNo: "u32" });
const NACK = new RecordFormat({ SeqNo: "u32" });
const ERROR = new RecordFormat({ Error: "string" });
/** Suspect and dead. */
const ACCUSATION = new RecordFormat({ From: "string", Incarnation: "u32", Node: "string" });
const ALIVE = new RecordFormat({
  Addr: "bytes",
  Incarnation: "u32",
  Meta: "bytes",
  Node: "string",
  Port: "u16",
  Vsn: "bytes",
});

/** The message with its type byte, ready for framePacket or frameStream. Not for user messages on a stream. */
export function encodeMessage(message: GossipMessage): Uint8Array {
  switch (message.type) {
    case "ping":
      return encodeBody(type.PING, {
        Node: message.node,
        SeqNo: message.seq,
        ...sourceFields(message.source),
      });
    case "indirect-ping":
      return encodeBody(type.INDIRECT_PING, {
        Nack: message.wantsNack,
        Node: message.node,
        Port: message.port,
        SeqNo: message.seq,
        ...sourceFields(message.source),
        Target: message.target,
      });
    case "ack":
      return encodeBody(type.ACK, { Payload: message.payload, SeqNo: message.seq });
    case "nack":
      return encodeBody(type.NACK, { SeqNo: message.seq });
    case "error":
      return encodeBody(type.ERROR, { Error: message.text });
    case "suspect":
      return encodeBody(type.SUSPECT, accusationFields(message));
    case "dead":
      return encodeBody(type.DEAD, accusationFields(message));
    case "alive":
      return encodeBody(type.ALIVE, aliveFields(message));
    case "user":
      return withType(type.USER, message.payload);
  }
}

/**
 * Reads one message as it comes out of a packet or a stream. Null when it is none of GossipMessage, is damaged, or
 * carries an address that is not 4 or 16 bytes long. Bytes behind the message are ignored. The result owns its memory.
 */
export function decodeMessage(bytes: Uint8Array): GossipMessage | null {
  switch (bytes[0]) {
    case type.PING:
      return readPing(bytes);
    case type.INDIRECT_PING:
      return readIndirectPing(bytes);
    case type.ACK:
      return readAck(bytes);
    case type.NACK:
      return readNack(bytes);
    case type.ERROR:
      return readError(bytes);
    case type.SUSPECT:
      return readAccusation(bytes, "suspect");
    case type.DEAD:
      return readAccusation(bytes, "dead");
    case type.ALIVE:
      return readAlive(bytes);
    case type.USER:
      return { type: "user", payload: new Uint8Array(bytes.subarray(1)) };
    default:
      return null;
  }
}

/** Whether the bytes can be an address, raw: IPv4 (4), or IPv6 or mapped IPv4 (16). */
export function isAddress(bytes: Uint8Array | null): bytes is Uint8Array {
  return bytes !== null && (bytes.length === 4 || bytes.length === 16);
}

/** A byte slice of Go: nothing and nil are the same. */
export function nilIfEmpty(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes;
}

/** Undefined fields are not sent. */
function sourceFields(source: PingSource | null) {
  if (source === null) return {};
  const { address, node, port } = source;
  return { SourceAddr: address, SourceNode: node === "" ? undefined : node, SourcePort: port };
}

interface SourceFields {
  readonly SourceAddr: Uint8Array | null;
  readonly SourceNode: string;
  readonly SourcePort: number;
}

/** Address and port count together only. */
function sourceOf({ SourceAddr, SourceNode, SourcePort }: SourceFields): PingSource | null {
  if (!isAddress(SourceAddr) || SourcePort === 0) return null;
  return { address: SourceAddr, port: SourcePort, node: SourceNode };
}

function accusationFields({ from, incarnation, node }: SuspectMessage | DeadMessage) {
  return { From: from, Incarnation: incarnation, Node: node };
}

function aliveFields(message: AliveMessage) {
  return {
    Addr: message.address,
    Incarnation: message.incarnation,
    Meta: nilIfEmpty(message.meta),
    Node: message.node,
    Port: message.port,
    Vsn: nilIfEmpty(message.versions),
  };
}

function readPing(bytes: Uint8Array): GossipMessage | null {
  const body = PING.decode(bytes, 1);
  return body && { type: "ping", seq: body.SeqNo, node: body.Node, source: sourceOf(body) };
}

function readIndirectPing(bytes: Uint8Array): GossipMessage | null {
  const body = INDIRECT_PING.decode(bytes, 1);
  if (body === null || !isAddress(body.Target)) return null;
  const { SeqNo: seq, Target: target, Port: port, Node: node, Nack: wantsNack } = body;
  return { type: "indirect-ping", seq, target, port, node, wantsNack, source: sourceOf(body) };
}

function readAck(bytes: Uint8Array): GossipMessage | null {
  const body = ACK.decode(bytes, 1);
  return body && { type: "ack", seq: body.SeqNo, payload: body.Payload };
}

function readNack(bytes: Uint8Array): GossipMessage | null {
  const body = NACK.decode(bytes, 1);
  return body && { type: "nack", seq: body.SeqNo };
}

function readError(bytes: Uint8Array): GossipMessage | null {
  const body = ERROR.decode(bytes, 1);
  return body && { type: "error", text: body.Error };
}

function readAccusation(bytes: Uint8Array, kind: "suspect" | "dead"): GossipMessage | null {
  const body = ACCUSATION.decode(bytes, 1);
  return body && { type: kind, incarnation: body.Incarnation, node: body.Node, from: body.From };
}

function readAlive(bytes: Uint8Array): GossipMessage | null {
  const body = ALIVE.decode(bytes, 1);
  if (body === null || !isAddress(body.Addr)) return null;
  return {
    type: "alive",
    incarnation: body.Incarnation,
    node: body.Node,
    address: body.Addr,
    port: body.Port,
    meta: body.Meta ?? new Uint8Array(),
    versions: body.Vsn ?? new Uint8Array(),
  };
}
