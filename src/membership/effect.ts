/** The output of the state machine: packets to send and notifications. The driver carries effects out in order. */
import type { Address } from "./address.ts";

export type Effect = Send | Notification;

export type Send =
  /** `messages` are encoded; more than one go as a compound. The shell adds a CRC if `withCrc` and encrypts. */
  | {
      readonly kind: "packet";
      readonly to: Address;
      readonly messages: readonly Uint8Array[];
      readonly withCrc: boolean;
    }
  /** Over TCP; ends in onPushPullAnswer or onExchangeFailed with the same `exchange`. */
  | {
      readonly kind: "push-pull";
      readonly exchange: number;
      readonly to: Address;
      readonly request: Uint8Array;
      readonly timeoutMs: number;
    }
  /** Over TCP; ends in onStreamPingAnswer or onExchangeFailed. */
  | {
      readonly kind: "stream-ping";
      readonly exchange: number;
      readonly to: Address;
      readonly request: Uint8Array;
      readonly timeoutMs: number;
    };

export type Notification =
  | { readonly kind: "event"; readonly event: MemberEvent }
  /** A user message whose first byte is ours. */
  | { readonly kind: "user"; readonly payload: Uint8Array }
  /** What a member's push/pull said of its own tables; empty: nothing. */
  | { readonly kind: "remote-state"; readonly digest: Uint8Array };

export type MemberEvent =
  | {
      /** `moved`: alive at another address. */
      readonly type:
        | "joined"
        | "updated"
        | "moved"
        | "suspected"
        | "cleared"
        | "failed"
        | "left"
        | "forgotten";
      readonly name: string;
    }
  /** Two members of one name: the one known stays. */
  | { readonly type: "conflict"; readonly name: string; readonly known: Address; readonly other: Address }
  /** This node was called dead or suspect and has said no. */
  | { readonly type: "refuted"; readonly by: string }
  /** A member of a cluster of another name; refused. */
  | {
      readonly type: "other-cluster";
      readonly name: string;
      readonly cluster: string;
      readonly address: Address;
    }
  /** Protocol versions that exclude each other; refused. */
  | { readonly type: "incompatible"; readonly name: string; readonly reason: string }
  /** Not taken: so many members are known already. */
  | { readonly type: "too-many"; readonly name: string; readonly members: number }
  /** UDP does not get through, TCP does. */
  | { readonly type: "udp-broken"; readonly name: string }
  /** An exchange over TCP is over: a join was answered, or not. */
  | { readonly type: "exchanged"; readonly with: Address; readonly isMerged: boolean }
  /** The other side of an exchange over TCP says why it does not answer. */
  | { readonly type: "peer-error"; readonly text: string }
  /** The goodbye has been sent; the sockets may be closed. */
  | { readonly type: "may-close" };

/** Where all parts of the state machine put their effects, in order, and count the input that they ignore. */
export class Effects {
  readonly droppedTotal: Record<string, number> = {};
  #pending: Effect[] = [];

  add(effect: Effect): void {
    this.#pending.push(effect);
  }

  notify(event: MemberEvent): void {
    this.#pending.push({ kind: "event", event });
  }

  drop(reason: string): void {
    this.droppedTotal[reason] = (this.droppedTotal[reason] ?? 0) + 1;
  }

  /** All effects since the last call. */
  take(): Effect[] {
    const effects = this.#pending;
    this.#pending = [];
    return effects;
  }
}
