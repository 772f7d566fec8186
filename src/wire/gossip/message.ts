/**
 * The messages of the memberlist protocol as values: what its UDP packets and TCP streams carry.
 *
 * Names and texts are UTF-8; a message with a name that is not is refused, because it could not be handed on as it
 * came. Addresses are 4 or 16 raw bytes and are kept verbatim: other members compare them byte by byte.
 */

export type GossipMessage =
  | PingMessage
  | IndirectPingMessage
  | AckMessage
  | NackMessage
  | ErrorMessage
  | SuspectMessage
  | AliveMessage
  | DeadMessage
  | UserMessage;

/** Where the answer to a ping goes; old members leave it out, the answer then goes where the packet came from. */
export interface PingSource {
  readonly address: Uint8Array;
  readonly port: number;
  /** "" when the sender left it out. */
  readonly node: string;
}

export interface PingMessage {
  readonly type: "ping";
  readonly seq: number;
  /** Whom it is for; others drop it. "" is for everybody. */
  readonly node: string;
  readonly source: PingSource | null;
}

export interface IndirectPingMessage {
  readonly type: "indirect-ping";
  readonly seq: number;
  readonly target: Uint8Array;
  readonly port: number;
  readonly node: string;
  readonly wantsNack: boolean;
  readonly source: PingSource | null;
}

export interface AckMessage {
  readonly type: "ack";
  readonly seq: number;
  readonly payload: Uint8Array | null;
}

export interface NackMessage {
  readonly type: "nack";
  readonly seq: number;
}

export interface ErrorMessage {
  readonly type: "error";
  readonly text: string;
}

export interface SuspectMessage {
  readonly type: "suspect";
  /** u32, like every incarnation. */
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

export interface AliveMessage {
  readonly type: "alive";
  readonly incarnation: number;
  readonly node: string;
  readonly address: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  /** [pMin, pMax, pCur, dMin, dMax, dCur]; as received, so any length. */
  readonly versions: Uint8Array;
}

/** Also "left": then `from` is the node itself. */
export interface DeadMessage {
  readonly type: "dead";
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

/** Opaque to membership. The first byte says whose it is: 0…9 serf's, 10 and above ours. */
export interface UserMessage {
  readonly type: "user";
  readonly payload: Uint8Array;
}

export type RemoteState = "alive" | "suspect" | "dead" | "left";

/** One member in a push/pull exchange. */
export interface RemoteMember {
  readonly name: string;
  readonly address: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly incarnation: number;
  readonly state: RemoteState;
  readonly versions: Uint8Array;
}

export interface PushPull {
  readonly isJoin: boolean;
  readonly members: readonly RemoteMember[];
  /** Empty: none. */
  readonly userState: Uint8Array;
}
