/**
 * The user state of a push/pull exchange as serf agents understand it: 2 | map{EventLTime, Events, LTime, LeftMembers,
 * QueryLTime, StatusLTimes}. [serf messages.go, "messagePushPull"]
 *
 * Ours has one key more, PortmeshDigest; agents pass over it. Recent events are not kept: we send none and skip those
 * of others. Lamport times are clamped as in serf.ts.
 */
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { MAX_EXCHANGED_MEMBERS } from "./push-pull.ts";

const PUSH_PULL_STATE = 2;
const DIGEST_KEY = "PortmeshDigest";
const MAX_LTIME = Number.MAX_SAFE_INTEGER;

export interface SerfState {
  readonly ltime: number;
  readonly eventLTime: number;
  readonly queryLTime: number;
  /** When each member's status last changed; names are byte strings. */
  readonly statusLTimes: ReadonlyMap<string, number>;
  /** Names of those who left. */
  readonly leftMembers: readonly string[];
  /** The catalog's summary; opaque here. Empty: none. */
  readonly digest: Uint8Array;
}

export function encodeSerfState(state: SerfState): Uint8Array {
  const hasDigest = state.digest.length > 0;
  const writer = new MsgpackWriter().byte(PUSH_PULL_STATE).mapOf(hasDigest ? 7 : 6);
  writer.string("EventLTime").int(state.eventLTime);
  writer.string("Events").arrayOf(0);
  writer.string("LTime").int(state.ltime);
  writer.string("LeftMembers").arrayOf(state.leftMembers.length);
  for (const name of state.leftMembers) writer.string(name);
  if (hasDigest) writer.string(DIGEST_KEY).bytesOrNil(state.digest);
  writer.string("QueryLTime").int(state.queryLTime);
  writer.string("StatusLTimes").mapOf(state.statusLTimes.size);
  for (const [name, ltime] of state.statusLTimes) writer.string(name).int(ltime);
  return writer.bytes;
}

/** Null when the user state is not serf's, or damaged; then only the members of the exchange count. */
export function decodeSerfState(userState: Uint8Array): SerfState | null {
  if (userState[0] !== PUSH_PULL_STATE) return null;
  const reader = new MsgpackReader(userState, 1);
  const state = {
    ltime: 0,
    eventLTime: 0,
    queryLTime: 0,
    statusLTimes: new Map<string, number>() as ReadonlyMap<string, number>,
    leftMembers: [] as readonly string[],
    digest: new Uint8Array(),
  };
  for (let left = reader.mapLength(); left > 0 && !reader.failed; left--) readField(reader, state);
  return reader.failed ? null : state;
}

function readField(
  reader: MsgpackReader,
  state: { -readonly [Name in keyof SerfState]: SerfState[Name] },
): void {
  const name = reader.string();
  if (name === "LTime") state.ltime = reader.uint(MAX_LTIME);
  else if (name === "EventLTime") state.eventLTime = reader.uint(MAX_LTIME);
  else if (name === "QueryLTime") state.queryLTime = reader.uint(MAX_LTIME);
  else if (name === "StatusLTimes") state.statusLTimes = readLTimes(reader);
  else if (name === "LeftMembers") state.leftMembers = readNames(reader);
  else if (name === DIGEST_KEY) state.digest = reader.bytes() ?? new Uint8Array();
  else reader.skip();
}

function readLTimes(reader: MsgpackReader): Map<string, number> {
  const ltimes = new Map<string, number>();
  for (let left = reader.mapLength(MAX_EXCHANGED_MEMBERS); left > 0 && !reader.failed; left--) {
    ltimes.set(reader.string(), reader.uint(MAX_LTIME));
  }
  return ltimes;
}

function readNames(reader: MsgpackReader): string[] {
  const names: string[] = [];
  for (let left = reader.arrayLength(MAX_EXCHANGED_MEMBERS); left > 0 && !reader.failed; left--) {
    names.push(reader.string());
  }
  return names;
}
