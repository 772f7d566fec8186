/**
 * The user state of a push/pull exchange as serf agents understand it: 2 | map{EventLTime, Events, LTime, LeftMembers,
 * QueryLTime, StatusLTimes}. [serf messages.go, "messagePushPull"]
 *
 * Ours has one key more, PortmeshDigest; agents pass over it. Lamport times are clamped as in serf.ts.
 */
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { MAX_EXCHANGED_MEMBERS } from "./push-pull.ts";
import { RecordFormat } from "./record.ts";

const PUSH_PULL_STATE = 2;
const DIGEST_KEY = "PortmeshDigest";
const MAX_LTIME = Number.MAX_SAFE_INTEGER;
/** An agent remembers the events of 512 times, and few share one. */
const MAX_EXCHANGED_EVENTS = 8_192;
const EVENT_FIELDS = new RecordFormat({ Name: "string", Payload: "bytes" });

/** A user event of late, for those whom gossip has missed. */
export interface SerfRecentEvent {
  readonly ltime: number;
  readonly name: string;
  readonly payload: Uint8Array;
}

export interface SerfState {
  readonly ltime: number;
  readonly eventLTime: number;
  readonly queryLTime: number;
  readonly events: readonly SerfRecentEvent[];
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
  writeEvents(writer.string("Events"), state.events);
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
    events: [] as readonly SerfRecentEvent[],
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
  else if (name === "Events") state.events = readEvents(reader);
  else if (name === "StatusLTimes") state.statusLTimes = readLTimes(reader);
  else if (name === "LeftMembers") state.leftMembers = readNames(reader);
  else if (name === DIGEST_KEY) state.digest = reader.bytes() ?? new Uint8Array();
  else reader.skip();
}

/** Agents gather those of one time in one element, and read them as well from several. */
function writeEvents(writer: MsgpackWriter, events: readonly SerfRecentEvent[]): void {
  writer.arrayOf(events.length);
  for (const { ltime, name, payload } of events) {
    EVENT_FIELDS.write(writer.mapOf(2).string("Events").arrayOf(1), { Name: name, Payload: payload });
    writer.string("LTime").int(ltime);
  }
}

/** Elements without events are nil, which reads as an empty map. */
function readEvents(reader: MsgpackReader): SerfRecentEvent[] {
  const events: SerfRecentEvent[] = [];
  for (let left = reader.arrayLength(); left > 0 && !reader.failed; left--) {
    let ltime = 0;
    let sharing: Omit<SerfRecentEvent, "ltime">[] = [];
    for (let fields = reader.mapLength(); fields > 0 && !reader.failed; fields--) {
      const field = reader.string();
      if (field === "LTime") ltime = reader.uint(MAX_LTIME);
      else if (field === "Events") sharing = readSharing(reader, MAX_EXCHANGED_EVENTS - events.length);
      else reader.skip();
    }
    for (const { name, payload } of sharing) events.push({ ltime, name, payload });
  }
  return events;
}

function readSharing(reader: MsgpackReader, max: number): Omit<SerfRecentEvent, "ltime">[] {
  const sharing: Omit<SerfRecentEvent, "ltime">[] = [];
  for (let left = reader.arrayLength(max); left > 0 && !reader.failed; left--) {
    const event = EVENT_FIELDS.read(reader);
    if (event !== null) sharing.push({ name: event.Name, payload: event.Payload ?? new Uint8Array() });
  }
  return sharing;
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
