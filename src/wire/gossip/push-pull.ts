/**
 * The push/pull exchange: everything one member knows, on a stream.
 *
 *     6 | map{Join, Nodes, UserStateLen} | Nodes × map{Addr … Vsn} | UserStateLen raw bytes
 *
 * Nothing separates the parts. The key of the name is "Name" here and "Node" everywhere else. [memberlist net.go]
 */
import { encodeValue } from "../msgpack.ts";
import { ByteBuilder } from "./byte-builder.ts";
import type { PushPull, RemoteMember, RemoteState } from "./message.ts";
import { isAddress, nilIfEmpty } from "./message-codec.ts";
import { PUSH_PULL } from "./message-type.ts";
import { decodeValue, encodeBody, RecordFormat, type RecordOf } from "./msgpack.ts";

/** Most members in one exchange: a bound on what a few bytes each can make us allocate, above any cluster. */
export const MAX_EXCHANGED_MEMBERS = 2 ** 15;

const HEADER_FIELDS = { Join: "bool", Nodes: "count", UserStateLen: "count" } as const;
export const PUSH_PULL_HEADER = new RecordFormat(HEADER_FIELDS);

const MEMBER = new RecordFormat({
  Addr: "bytes",
  Incarnation: "u32",
  Meta: "bytes",
  Name: "string",
  Port: "u16",
  State: "int",
  Vsn: "bytes",
});

/** By number. */
const STATES: readonly RemoteState[] = ["alive", "suspect", "dead", "left"];

export interface ReceivedPushPull extends PushPull {
  /** Members left out: with a damaged field, an address that is not 4 or 16 bytes long, or an unknown state. */
  readonly unusableMembers: number;
}

/** With the type byte, ready for frameStream. */
export function encodePushPull(exchange: PushPull): Uint8Array {
  const { isJoin, members, userState } = exchange;
  const out = new ByteBuilder();
  out.append(encodeBody(PUSH_PULL, { Join: isJoin, Nodes: members.length, UserStateLen: userState.length }));
  for (const member of members) out.append(encodeValue(memberFields(member)));
  out.append(userState);
  return out.bytes;
}

/** `bytes` begin with the type byte. Null when they are not a complete exchange; bytes behind it are ignored. */
// for tests: nodes read in parts, see PushPullReader
export function decodePushPull(bytes: Uint8Array): ReceivedPushPull | null {
  const reader = PushPullReader.of(bytes);
  if (reader === null) return null;
  const members = reader.readMembers(reader.membersLeft);
  const userState = reader.readUserState();
  if (members === null || userState === null) return null;
  const { isJoin, unusableMembers } = reader;
  return { isJoin, members, userState, unusableMembers };
}

/** The same in parts: tens of thousands of members take longer than anything else may have to wait. */
export class PushPullReader {
  readonly isJoin: boolean;
  unusableMembers = 0;
  readonly #bytes: Uint8Array;
  readonly #userStateBytes: number;
  #at: number;
  #membersLeft: number;

  private constructor(bytes: Uint8Array, at: number, header: RecordOf<typeof HEADER_FIELDS>) {
    this.#bytes = bytes;
    this.#at = at;
    this.isJoin = header.Join;
    this.#membersLeft = header.Nodes;
    this.#userStateBytes = header.UserStateLen;
  }

  /** Null when the bytes, which begin with the type byte, do not begin as an exchange does. */
  static of(bytes: Uint8Array): PushPullReader | null {
    if (bytes[0] !== PUSH_PULL) return null;
    const decoded = decodeValue(bytes, 1);
    const header = decoded && PUSH_PULL_HEADER.read(decoded.value);
    if (decoded === null || header === null || header.Nodes > MAX_EXCHANGED_MEMBERS) return null;
    return new PushPullReader(bytes, decoded.end, header);
  }

  get membersLeft(): number {
    return this.#membersLeft;
  }

  /** The next ones, at most `count`, without the unusable; null when the bytes are not an exchange. */
  readMembers(count: number): RemoteMember[] | null {
    const members: RemoteMember[] = [];
    for (let left = Math.min(count, this.#membersLeft); left > 0; left--) {
      const decoded = decodeValue(this.#bytes, this.#at);
      if (decoded === null) return null;
      this.#at = decoded.end;
      this.#membersLeft--;
      const member = memberOf(decoded.value);
      if (member === null) this.unusableMembers++;
      else members.push(member);
    }
    return members;
  }

  /** After the members, a copy; null when bytes are missing. */
  readUserState(): Uint8Array | null {
    const end = this.#at + this.#userStateBytes;
    return end > this.#bytes.length ? null : new Uint8Array(this.#bytes.subarray(this.#at, end));
  }
}

function memberOf(value: unknown): RemoteMember | null {
  const body = MEMBER.read(value);
  const state = STATES[body?.State ?? -1];
  if (body === null || state === undefined || !isAddress(body.Addr)) return null;
  return {
    name: body.Name,
    address: body.Addr,
    port: body.Port,
    meta: body.Meta ?? new Uint8Array(),
    incarnation: body.Incarnation,
    state,
    versions: body.Vsn ?? new Uint8Array(),
  };
}

function memberFields(member: RemoteMember) {
  return {
    Addr: member.address,
    Incarnation: member.incarnation,
    Meta: nilIfEmpty(member.meta),
    Name: member.name,
    Port: member.port,
    State: STATES.indexOf(member.state),
    Vsn: nilIfEmpty(member.versions),
  };
}
