/**
 * The push/pull exchange: everything one member knows, on a stream.
 *
 *     6 | map{Join, Nodes, UserStateLen} | Nodes × map{Addr … Vsn} | UserStateLen raw bytes
 *
 * Nothing separates the parts. The key of the name is "Name" here and "Node" everywhere else. [memberlist net.go]
 */
import type { PushPull, RemoteMember, RemoteState } from "./message.ts";
import { isAddress, nilIfEmpty } from "./message-codec.ts";
import { PUSH_PULL } from "./message-type.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { RecordFormat } from "./record.ts";

/** Most members in one exchange: a bound on what a few bytes each can make us allocate, above any cluster. */
export const MAX_EXCHANGED_MEMBERS = 2 ** 15;

export const PUSH_PULL_HEADER = new RecordFormat({ Join: "bool", Nodes: "count", UserStateLen: "count" });

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
  /** Members left out: with an address that is not 4 or 16 bytes long, or in a state without a name. */
  readonly unusableMembers: number;
}

/** With the type byte, ready for frameStream. */
export function encodePushPull(exchange: PushPull): Uint8Array {
  const { isJoin, members, userState } = exchange;
  const writer = new MsgpackWriter().byte(PUSH_PULL);
  PUSH_PULL_HEADER.write(writer, { Join: isJoin, Nodes: members.length, UserStateLen: userState.length });
  for (const member of members) writeMember(writer, member);
  return writer.verbatim(userState).bytes;
}

/** `bytes` begin with the type byte. Null when they are no whole exchange; bytes behind it are ignored. */
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
  unusableMembers = 0;
  #membersLeft: number;

  private constructor(
    readonly reader: MsgpackReader,
    readonly isJoin: boolean,
    members: number,
    readonly userStateBytes: number,
  ) {
    this.#membersLeft = members;
  }

  /** Null when the bytes, which begin with the type byte, do not begin as an exchange does. */
  static of(bytes: Uint8Array): PushPullReader | null {
    if (bytes[0] !== PUSH_PULL) return null;
    const reader = new MsgpackReader(bytes, 1);
    const header = PUSH_PULL_HEADER.read(reader);
    if (header === null || header.Nodes > MAX_EXCHANGED_MEMBERS) return null;
    return new PushPullReader(reader, header.Join, header.Nodes, header.UserStateLen);
  }

  get membersLeft(): number {
    return this.#membersLeft;
  }

  /** The next ones, at most `count`, without the unusable; null when the bytes are no exchange. */
  readMembers(count: number): RemoteMember[] | null {
    const members: RemoteMember[] = [];
    for (let left = Math.min(count, this.#membersLeft); left > 0; left--) {
      const body = MEMBER.read(this.reader);
      if (body === null) return null;
      this.#membersLeft--;
      const state = STATES[body.State];
      if (state === undefined || !isAddress(body.Addr)) this.unusableMembers++;
      else members.push(memberOf(body, body.Addr, state));
    }
    return members;
  }

  /** After the members; null when bytes are missing. */
  readUserState(): Uint8Array | null {
    const userState = this.reader.verbatim(this.userStateBytes);
    return this.reader.failed ? null : userState;
  }
}

function memberOf(
  body: NonNullable<ReturnType<typeof MEMBER.read>>,
  address: Uint8Array,
  state: RemoteState,
): RemoteMember {
  return {
    name: body.Name,
    address,
    port: body.Port,
    meta: body.Meta ?? new Uint8Array(),
    incarnation: body.Incarnation,
    state,
    versions: body.Vsn ?? new Uint8Array(),
  };
}

function writeMember(writer: MsgpackWriter, member: RemoteMember): void {
  MEMBER.write(writer, {
    Addr: member.address,
    Incarnation: member.incarnation,
    Meta: nilIfEmpty(member.meta),
    Name: member.name,
    Port: member.port,
    State: STATES.indexOf(member.state),
    Vsn: nilIfEmpty(member.versions),
  });
}
