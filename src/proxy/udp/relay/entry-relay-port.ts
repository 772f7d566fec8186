/** The sessions of an `EntryRelay`, and what it asks of its owner, which has the socket. */
import type { RelayDatagram } from "../../../wire/index.ts";
import type { EntryHandshake, EntryHandshakeOptions } from "./entry-handshake.ts";
import type { OpenVerdict, RelayChannel } from "./relay-channel.ts";

/** A session as its relay knows it. `O` is the session. */
export class RelayedSession<O> {
  /** The exit node has accepted it: its header need not be repeated. */
  isOpened = false;
  /** It may have: an OPEN has been sent. */
  isAsked = false;

  constructor(
    /** 1 … 2^32 - 1, not used by another session of the relay */
    readonly id: number,
    readonly owner: O,
    /** The PROXY header of its OPEN. */
    readonly header: Uint8Array,
  ) {}
}

export type DropReason = "malformed" | Exclude<OpenVerdict, "new">;

/** What a relay asks of its owner. */
export interface EntryRelayPort<O> {
  /** The exit node's heartbeat, over TCP. */
  readonly isPeerHeard: boolean;
  handshakeOptions(): EntryHandshakeOptions;
  /** To send what `handshake.write` writes. */
  sendHandshake(handshake: EntryHandshake): void;
  /** To seal and send a datagram; the data is in `bytes`. */
  sendSealed(
    channel: RelayChannel,
    type: number,
    session: number,
    header: Uint8Array,
    bytes: Uint8Array,
    dataAt: number,
    dataLength: number,
  ): void;
  /** To send a PROBE of so many bytes. */
  sendProbe(channel: RelayChannel, length: number): void;
  /** Takes an opened PART; true: it completes an OPEN or DATA, which `datagram` is from now on. */
  assemble(channel: RelayChannel, datagram: RelayDatagram): boolean;
  /** The exit node does not serve the session: ERROR_… . The datagrams are those it has not accepted. */
  onRejected(relayed: RelayedSession<O>, code: number, kept: readonly Uint8Array[]): void;
  /** The exit node cannot be reached: the relay is closed. */
  onUnreachable(relayed: RelayedSession<O>, error: UnreachableReason, kept: readonly Uint8Array[]): void;
  /** The relay is closed because it has no sessions. */
  onUnused(): void;
  onDropped(reason: DropReason): void;
}

export type UnreachableReason = "refused" | "timeout";
