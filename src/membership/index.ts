/** Cluster membership and failure detection: the memberlist protocol without sockets. */
export type { Address } from "./address.ts";
export type { Effect, MemberEvent, Notification, Send } from "./effect.ts";
export { CLUSTER_TAG, type Member, type MemberState, PROTOCOL_TAG } from "./member.ts";
export type { MembershipState } from "./member-state.ts";
export {
  Membership,
  type MembershipStats,
} from "./membership.ts";
export type { BroadcastSource } from "./packets.ts";
export { PROFILES, type Profile } from "./profile.ts";
