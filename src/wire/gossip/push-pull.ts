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
  if (bytes[0] !== PUSH_PULL) return null;
  const reader = new MsgpackReader(bytes, 1);
  const header = PUSH_PULL_HEADER.read(reader);
  if (header === null || header.Nodes > MAX_EXCHANGED_MEMBERS) return null;
  const members: RemoteMember[] = [];
  for (let i = 0; i < header.Nodes; i++) {
    const body = MEMBER.read(reader);
    if (body === null) return null;
    const state = STATES[body.State];
    if (state === undefined || !isAddress(body.Addr)) continue;
    members.push({
      name: body.Name,
      address: body.Addr,
      port: body.Port,
      meta: body.Meta ?? new Uint8Array(),
      incarnation: body.Incarnation,
      state,
      versions: body.Vsn ?? new Uint8Array(),
    });
  }
  const userState = reader.verbatim(header.UserStateLen);
  if (reader.failed) return null;
  return { isJoin: header.Join, members, userState, unusableMembers: header.Nodes - members.length };
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
