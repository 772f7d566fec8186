/**
 * The user state of a push/pull exchange as serf agents understand it: 2 | map{EventLTime, Events, LTime, LeftMembers,
 * QueryLTime, StatusLTimes}. [serf messages.go, "messagePushPull"]
 *
 * Ours has one key more, PortmeshDigest; agents pass over it. Lamport times are clamped as in serf.ts.
 */
import {
  decodeValue,
  encodeBody,
  entriesOf,
  fieldOf,
  integerOf,
  listOf,
  RecordFormat,
  textOf,
} from "./msgpack.ts";
import { MAX_EXCHANGED_MEMBERS } from "./push-pull.ts";

const PUSH_PULL_STATE = 2;
/** An agent remembers the events of 512 times, and few share one. */
const MAX_EXCHANGED_EVENTS = 8_192;
const STATE_FIELDS = new RecordFormat({
  EventLTime: "lamport",
  LTime: "lamport",
  PortmeshDigest: "bytes",
  QueryLTime: "lamport",
});
/** Events of one time, gathered in one element. */
const SLOT_FIELDS = new RecordFormat({ LTime: "lamport" });
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
  /** When each member's status last changed. */
  readonly statusLTimes: ReadonlyMap<string, number>;
  /** Names of those who left. */
  readonly leftMembers: readonly string[];
  /** The catalog's summary; opaque here. Empty: none. */
  readonly digest: Uint8Array;
}

/** Agents gather events of one time in one element, and read them as well from several. */
export function encodeSerfState(state: SerfState): Uint8Array {
  return encodeBody(PUSH_PULL_STATE, {
    EventLTime: state.eventLTime,
    Events: state.events.map(({ ltime, name, payload }) => ({
      Events: [{ Name: name, Payload: payload }],
      LTime: ltime,
    })),
    LTime: state.ltime,
    LeftMembers: state.leftMembers,
    PortmeshDigest: state.digest.length > 0 ? state.digest : undefined,
    QueryLTime: state.queryLTime,
    StatusLTimes: Object.fromEntries(state.statusLTimes),
  });
}

/**
 * Null when the user state is not serf's, or damaged; then only the members of the exchange count. Names that are not
 * UTF-8 are left out.
 */
export function decodeSerfState(userState: Uint8Array): SerfState | null {
  if (userState[0] !== PUSH_PULL_STATE) return null;
  const body = decodeValue(userState, 1)?.value;
  const fields = STATE_FIELDS.read(body);
  const events = readEvents(listOf(body, "Events", MAX_EXCHANGED_EVENTS));
  const statusLTimes = readLTimes(fieldOf(body, "StatusLTimes"));
  const leftMembers = listOf(body, "LeftMembers", MAX_EXCHANGED_MEMBERS);
  if (fields === null || events === null || statusLTimes === null || leftMembers === null) return null;
  return {
    ltime: fields.LTime,
    eventLTime: fields.EventLTime,
    queryLTime: fields.QueryLTime,
    events,
    statusLTimes,
    leftMembers: leftMembers.map(textOf).filter((name) => name !== null),
    digest: fields.PortmeshDigest ?? new Uint8Array(),
  };
}

/** Elements without events are nil, which reads as an empty map. */
function readEvents(slots: readonly unknown[] | null): SerfRecentEvent[] | null {
  const events: SerfRecentEvent[] = [];
  for (const slot of slots ?? []) {
    const ltime = SLOT_FIELDS.read(slot)?.LTime;
    const bodies = listOf(slot, "Events", MAX_EXCHANGED_EVENTS - events.length);
    if (ltime === undefined || bodies === null) return null;
    for (const body of bodies) {
      const event = EVENT_FIELDS.read(body);
      if (event !== null)
        events.push({ ltime, name: event.Name, payload: event.Payload ?? new Uint8Array() });
    }
  }
  return slots && events;
}

function readLTimes(value: unknown): Map<string, number> | null {
  const entries = entriesOf(value);
  if (entries === null || entries.length > MAX_EXCHANGED_MEMBERS) return null;
  const ltimes = new Map<string, number>();
  for (const [name, value] of entries) {
    const ltime = integerOf(value);
    if (ltime === undefined || ltime < 0) return null;
    ltimes.set(name, ltime);
  }
  return ltimes;
}
