/** Who is in the cluster, and who is alive: the memberlist protocol without sockets. */
export type { Address } from "./address.ts";
export type { Effect, MemberEvent, Send, Tell } from "./effect.ts";
export { CLUSTER_TAG, type Member, type MemberState, PROTOCOL_TAG } from "./member.ts";
export {
  Membership,
  type MembershipStats,
} from "./membership.ts";
export type { BroadcastSource } from "./packets.ts";
export { PROFILES, type Profile } from "./profile.ts";
