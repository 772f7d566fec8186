/**
 * What serf agents say to each other in the payload of user messages: one byte for the kind (0…9 are serf's), then a
 * msgpack map. Their push/pull state is in serf-state.ts. [serf messages.go]
 *
 * Lamport times are u64 on the wire and numbers here: from 2^53 - 1 on they are clamped to it. No clock gets there
 * by counting; a time that large is a mistake or an attack, and clamped it is still the largest.
 *
 * Events and queries are read as far as telling them apart needs; hand on the bytes they came as, not a new encoding.
 */
import { encodeBody, RecordFormat } from "./msgpack.ts";

const LEAVE_INTENT = 0;
const JOIN_INTENT = 1;
const USER_EVENT = 3;
const QUERY = 4;
const QUERY_RESPONSE = 5;

/** The first payload byte that serf does not use. */
export const FIRST_FREE_PAYLOAD_TYPE = 10;

/** A bit of SerfQuery.flags. */
export const QUERY_NO_REBROADCAST = 2;

const LEAVE_FIELDS = new RecordFormat({ LTime: "lamport", Node: "string", Prune: "bool" });
const JOIN_FIELDS = new RecordFormat({ LTime: "lamport", Node: "string" });
const EVENT_FIELDS = new RecordFormat({ CC: "bool", LTime: "lamport", Name: "string", Payload: "bytes" });
const QUERY_FIELDS = new RecordFormat({
  Addr: "bytes",
  Flags: "u32",
  ID: "u32",
  LTime: "lamport",
  Name: "string",
  Payload: "bytes",
  Port: "u16",
  SourceNode: "string",
  Timeout: "int",
});
const RESPONSE_FIELDS = new RecordFormat({
  Flags: "u32",
  From: "string",
  ID: "u32",
  LTime: "lamport",
  Payload: "bytes",
});

export interface SerfLeaveIntent {
  readonly type: "leave-intent";
  readonly ltime: number;
  readonly node: string;
  /** Forget the node at once. */
  readonly prune: boolean;
}

export interface SerfJoinIntent {
  readonly type: "join-intent";
  readonly ltime: number;
  readonly node: string;
}

export interface SerfUserEvent {
  readonly type: "user-event";
  readonly ltime: number;
  readonly name: string;
  readonly payload: Uint8Array;
  /** Receivers may merge events of one name. */
  readonly coalesce: boolean;
}

export interface SerfQuery {
  readonly type: "query";
  readonly ltime: number;
  readonly id: number;
  readonly flags: number;
  readonly name: string;
  readonly payload: Uint8Array;
  /** Where answers go; raw bytes as elsewhere, of any length here. */
  readonly address: Uint8Array;
  readonly port: number;
  readonly sourceNode: string;
  /** How long the asker waits; clamped to a safe integer, so 104 days. */
  readonly timeoutNs: number;
}

export interface SerfQueryResponse {
  readonly type: "query-response";
  readonly ltime: number;
  readonly id: number;
  readonly from: string;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export type SerfMessage = SerfLeaveIntent | SerfJoinIntent | SerfUserEvent | SerfQuery | SerfQueryResponse;

/** A payload for a user message. Queries are only handed on. */
export function encodeSerfMessage(message: Exclude<SerfMessage, SerfQuery>): Uint8Array {
  switch (message.type) {
    case "leave-intent":
      return encodeBody(LEAVE_INTENT, { LTime: message.ltime, Node: message.node, Prune: message.prune });
    case "join-intent":
      return encodeBody(JOIN_INTENT, { LTime: message.ltime, Node: message.node });
    case "user-event":
      return encodeBody(USER_EVENT, {
        CC: message.coalesce,
        LTime: message.ltime,
        Name: message.name,
        Payload: message.payload,
      });
    case "query-response":
      return encodeBody(QUERY_RESPONSE, {
        Flags: message.flags,
        From: message.from,
        ID: message.id,
        LTime: message.ltime,
        Payload: message.payload,
      });
  }
}

/** Null when the payload of a user message is none of SerfMessage, or damaged. The result owns its memory. */
export function decodeSerfMessage(payload: Uint8Array): SerfMessage | null {
  switch (payload[0]) {
    case LEAVE_INTENT: {
      const body = LEAVE_FIELDS.decode(payload, 1);
      return body && { type: "leave-intent", ltime: body.LTime, node: body.Node, prune: body.Prune };
    }
    case JOIN_INTENT: {
      const body = JOIN_FIELDS.decode(payload, 1);
      return body && { type: "join-intent", ltime: body.LTime, node: body.Node };
    }
    case USER_EVENT:
      return readUserEvent(payload);
    case QUERY:
      return readQuery(payload);
    case QUERY_RESPONSE:
      return readQueryResponse(payload);
    default:
      return null;
  }
}

function readUserEvent(bytes: Uint8Array): SerfUserEvent | null {
  const body = EVENT_FIELDS.decode(bytes, 1);
  if (body === null) return null;
  const { LTime: ltime, Name: name, CC: coalesce } = body;
  return { type: "user-event", ltime, name, payload: bytesOf(body.Payload), coalesce };
}

function readQuery(bytes: Uint8Array): SerfQuery | null {
  const body = QUERY_FIELDS.decode(bytes, 1);
  if (body === null) return null;
  return {
    type: "query",
    ltime: body.LTime,
    id: body.ID,
    flags: body.Flags,
    name: body.Name,
    payload: bytesOf(body.Payload),
    address: bytesOf(body.Addr),
    port: body.Port,
    sourceNode: body.SourceNode,
    timeoutNs: body.Timeout,
  };
}

function readQueryResponse(bytes: Uint8Array): SerfQueryResponse | null {
  const body = RESPONSE_FIELDS.decode(bytes, 1);
  if (body === null) return null;
  const { LTime: ltime, ID: id, From: from, Flags: flags } = body;
  return { type: "query-response", ltime, id, from, flags, payload: bytesOf(body.Payload) };
}

function bytesOf(slice: Uint8Array | null): Uint8Array {
  return slice ?? new Uint8Array();
}
