/** A member of a cluster on its way to another process of the same node, as msgpack takes it. */
import type { SerfRecentEvent } from "../wire/gossip/index.ts";
import { MemberRecord, type MemberState } from "./member.ts";
import type { MemberTable } from "./member-table.ts";

/** One of the members, this node not among them. */
export interface HandedMember {
  readonly name: string;
  readonly ip: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly versions: Uint8Array;
  readonly incarnation: number;
  readonly state: MemberState;
  /** How long it has been in that state. */
  readonly stateAgeMs: number;
  /** null: never measured. */
  readonly rttMs: number | null;
}

/** "return": a join intent about a member that has left; gossip may bring it before the member's sign of life. */
export type Intent = "join" | "leave" | "return";

/** The part of serf's agents. */
export interface SerfDelegateState {
  readonly ltime: number;
  readonly eventLTime: number;
  readonly queryLTime: number;
  readonly events: readonly SerfRecentEvent[];
  readonly statusLTimes: readonly (readonly [node: string, ltime: number, intent?: Intent])[];
}

export interface MembershipState {
  readonly incarnation: number;
  readonly members: readonly HandedMember[];
  readonly serf: SerfDelegateState;
}

export function exportMembers(table: MemberTable, nowMs: number): HandedMember[] {
  return [...table.values()]
    .filter(({ name }) => name !== table.self)
    .map(({ name, address, meta, versions, incarnation, state, stateChangedMs, rttMs }) => ({
      name,
      ip: address.ip,
      port: address.port,
      meta,
      versions,
      incarnation,
      state,
      stateAgeMs: nowMs - stateChangedMs,
      rttMs,
    }));
}

/** A suspect is alive until this process has asked it itself. */
export function continueMembers(members: readonly HandedMember[], table: MemberTable, nowMs: number): void {
  for (const { name, ip, port, meta, versions, incarnation, state, stateAgeMs, rttMs } of members) {
    if (table.isFull) return;
    const record = new MemberRecord(name, { ip, port }, meta, versions, nowMs);
    record.incarnation = incarnation;
    record.enter(state === "suspect" ? "alive" : state, nowMs - stateAgeMs);
    if (rttMs !== null) record.measured(rttMs, nowMs);
    table.insert(record);
  }
}
