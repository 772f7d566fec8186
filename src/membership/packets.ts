/**
 * What leaves in packets: answers with as much news as fits beside them, and news by gossip to a few members at a time.
 * Membership's own first, then serf's, then ours to those who understand it, all out of one budget.
 */
import { encodeMessage, type GossipMessage } from "../wire/gossip/index.ts";
import type { Address } from "./address.ts";
import { BroadcastQueue } from "./broadcast-queue.ts";
import type { Effects } from "./effect.ts";
import { retransmitLimit } from "./formulas.ts";
import type { MemberRecord } from "./member.ts";
import type { MemberTable } from "./member-table.ts";
import type { Profile } from "./profile.ts";
import { readsCrc } from "./versions.ts";

const PART_OVERHEAD_BYTES = 2; // of a message in a compound
const MAX_PARTS = 127; // old members misread more
const MAX_QUEUE = 4_096;
/** No packet has room for the message. */
const TOO_LARGE = "too-large-to-gossip";

/** Our own user messages, for all members that understand them. */
export interface BroadcastSource {
  /** Payloads for one recipient, together with 3 bytes each within the budget. */
  draw(budgetBytes: number, retransmitLimit: number): Uint8Array[];
}

export interface PacketsHost {
  readonly profile: Profile;
  readonly table: MemberTable;
  /** Bytes of messages a packet has room for. */
  readonly budgetBytes: number;
  readonly userBroadcasts: BroadcastSource | null;
  readonly effects: Effects;
}

export class Packets {
  readonly #host: PacketsHost;
  readonly #membership: BroadcastQueue;
  readonly #serf: BroadcastQueue;

  constructor(host: PacketsHost) {
    this.#host = host;
    this.#membership = new BroadcastQueue(MAX_QUEUE, host.budgetBytes - PART_OVERHEAD_BYTES);
    this.#serf = new BroadcastQueue(MAX_QUEUE, host.budgetBytes - PART_OVERHEAD_BYTES);
  }

  get queueLengths(): Readonly<Record<string, number>> {
    return { membership: this.#membership.length, serf: this.#serf.length };
  }

  /** Replaces what is queued about the member. `onGone`: it has been sent often enough, or replaced. */
  broadcast(about: string, message: Uint8Array, onGone?: () => void): void {
    if (!this.#membership.add(about, message, onGone)) this.#host.effects.drop(TOO_LARGE);
  }

  broadcastSerf(payload: Uint8Array, key: string | null, onGone?: () => void): void {
    const message = encodeMessage({ type: "user", payload });
    if (!this.#serf.add(key, message, onGone)) this.#host.effects.drop(TOO_LARGE);
  }

  /** News to a few members: the dead hear of their death for a while, so that they can refute. */
  gossip(nowMs: number): void {
    const { profile, table, budgetBytes, userBroadcasts } = this.#host;
    const hasOwn = this.#membership.length + this.#serf.length > 0;
    if (!hasOwn && userBroadcasts === null) return;
    const recipients = table.pick(profile.gossipNodes, (member) => {
      if (member.name === table.self || member.state === "left") return false;
      return member.isLive || nowMs - member.stateChangedMs < profile.gossipToTheDeadMs;
    });
    for (const member of recipients) {
      const messages = this.#draw(budgetBytes, member, MAX_PARTS);
      if (messages.length > 0) this.send(member.address, messages, readsCrc(member.versions));
    }
  }

  /** With as much gossip as fits. */
  sendWithNews(to: Address, message: GossipMessage, member: MemberRecord | null = null): void {
    const first = encodeMessage(message);
    const left = this.#host.budgetBytes - first.length - PART_OVERHEAD_BYTES;
    this.send(to, [first, ...this.#draw(left, member, MAX_PARTS - 1)], false);
  }

  send(to: Address, messages: readonly Uint8Array[], withCrc: boolean): void {
    this.#host.effects.add({ kind: "packet", to, messages, withCrc });
  }

  #draw(budgetBytes: number, member: MemberRecord | null, maxParts: number): Uint8Array[] {
    const { profile, table, userBroadcasts } = this.#host;
    const limit = retransmitLimit(profile, table.size);
    const messages: Uint8Array[] = [];
    let left = budgetBytes;
    const take = (drawn: readonly Uint8Array[]) => {
      for (const message of drawn) {
        left -= message.length + PART_OVERHEAD_BYTES;
        messages.push(message);
      }
    };
    take(this.#membership.draw(left, PART_OVERHEAD_BYTES, limit, maxParts));
    take(this.#serf.draw(left, PART_OVERHEAD_BYTES, limit, maxParts - messages.length));
    if (userBroadcasts !== null && member?.isPortmesh === true && member.isLive) {
      const payloads = userBroadcasts.draw(left, limit).slice(0, maxParts - messages.length);
      take(payloads.map((payload) => encodeMessage({ type: "user", payload })));
    }
    return messages;
  }
}
