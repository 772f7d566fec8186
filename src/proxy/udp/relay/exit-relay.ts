/**
 * The relay from one entry node to here, with its sessions. No sockets and no clock: its owner passes decoded datagrams
 * and implements `ExitRelayPort`.
 */
import {
  RELAY_CLEAR,
  RELAY_CLOSE,
  RELAY_DATA,
  RELAY_ENCRYPTED,
  RELAY_ERROR,
  RELAY_OPEN,
  RELAY_OPENED,
  RELAY_PART,
  RELAY_PING,
  RELAY_PONG,
  RELAY_PROBE,
  RELAY_PROBED,
  type RelayDatagram,
} from "../../../wire/index.ts";
import type { ConfirmedRelay } from "./exit-handshake.ts";
import { PathMtu } from "./path-mtu.ts";
import { type OpenVerdict, RelayChannel } from "./relay-channel.ts";

const IPV6_OVERHEAD_BYTES = 48;

/** What a relay asks of its owner. `S` is the session. */
export interface ExitRelayPort<S> {
  /** To open a session for the PROXY header in bytes[headerAt …]: it, or the ERROR_… why not. */
  open(id: number, bytes: Uint8Array, headerAt: number, headerLength: number): S | number;
  /** To send bytes[dataAt …] to the session's task. */
  deliver(session: S, dataAt: number, dataLength: number): void;
  /** The entry node has ended it: to be closed without a reply. */
  onClosed(session: S): void;
  /** To seal and send a datagram without data, or an ERROR with its code. */
  send(type: number, id: number, code: number): void;
  /** To send a PROBE of so many bytes. */
  sendProbe(length: number): void;
  /** Takes an opened PART; true: it completes an OPEN or DATA, which `datagram` is from now on. */
  assemble(channel: RelayChannel, datagram: RelayDatagram): boolean;
  /** The entry node has ended the relay. */
  onEnded(): void;
}

export class ExitRelay<S> {
  readonly channel: RelayChannel;
  /** Until a datagram under its key arrives, the CONFIRM may be a recording, replayed. */
  isProven = false;
  heardMs: number;
  /** Of datagrams to the entry node. */
  readonly pathMtu: PathMtu;
  readonly #port: ExitRelayPort<S>;
  /** bounded by the services' max_sessions */
  readonly #sessions = new Map<number, S>();
  /** Sessions whose OPEN has come and is to be answered. */
  readonly #opened: number[] = [];

  constructor(
    readonly confirmed: ConfirmedRelay,
    nowMs: number,
    port: ExitRelayPort<S>,
    /** Of IP and UDP headers on the path. */
    overheadBytes = IPV6_OVERHEAD_BYTES,
  ) {
    this.pathMtu = new PathMtu(overheadBytes);
    const { relayId, keys, publicKey } = confirmed;
    const version = publicKey === null ? RELAY_CLEAR : RELAY_ENCRYPTED;
    this.channel = new RelayChannel(relayId, version, keys.toEntry, keys.toExit);
    this.heardMs = nowMs;
    this.#port = port;
  }

  get sessions(): ReadonlyMap<number, S> {
    return this.#sessions;
  }

  /** Takes a sealed datagram of `length` bytes; only after "new" has anything been done. */
  receive(bytes: Uint8Array, datagram: RelayDatagram, length: number, nowMs: number): OpenVerdict {
    const verdict = this.channel.open(bytes, datagram, length);
    if (verdict !== "new") return verdict;
    this.isProven = true;
    this.heardMs = nowMs;
    for (const size of this.pathMtu.poll(nowMs)) this.#port.sendProbe(size);
    this.#onAuthentic(bytes, datagram);
    return verdict;
  }

  /** Answers the OPENs received so far whose sessions are still there: their data has been sent. */
  acknowledge(): void {
    for (const id of this.#opened) if (this.#sessions.has(id)) this.#port.send(RELAY_OPENED, id, 0);
    this.#opened.length = 0;
  }

  /** The session has ended here; the entry node is sent the reason: an ERROR_… or, with 0, none. */
  remove(id: number, code: number): void {
    if (!this.#sessions.delete(id)) return;
    this.#port.send(code === 0 ? RELAY_CLOSE : RELAY_ERROR, id, code);
  }

  #onAuthentic(bytes: Uint8Array, datagram: RelayDatagram): void {
    if (datagram.type === RELAY_PART && !this.#port.assemble(this.channel, datagram)) return;
    const { type, session: id, dataAt, dataLength } = datagram;
    if (type === RELAY_PING) return this.#port.send(RELAY_PONG, 0, 0);
    if (type === RELAY_CLOSE) return this.#onClose(id);
    if (type === RELAY_PROBED) return this.pathMtu.onAnswered(id);
    if (type === RELAY_PROBE) {
      this.pathMtu.onAsked(id);
      return this.#port.send(RELAY_PROBED, id, 0);
    }
    if (type !== RELAY_OPEN && type !== RELAY_DATA) return;
    const known = this.#sessions.get(id);
    const session = known ?? (type === RELAY_OPEN ? this.#open(id, bytes, datagram) : undefined);
    if (session === undefined) {
      if (type === RELAY_DATA) this.#port.send(RELAY_CLOSE, id, 0);
      return;
    }
    if (type === RELAY_OPEN && this.#opened.at(-1) !== id) this.#opened.push(id);
    this.#port.deliver(session, dataAt, dataLength);
  }

  #open(id: number, bytes: Uint8Array, { headerAt, headerLength }: RelayDatagram): S | undefined {
    const session = this.#port.open(id, bytes, headerAt, headerLength);
    if (typeof session === "number") {
      this.#port.send(RELAY_ERROR, id, session);
      return undefined;
    }
    this.#sessions.set(id, session);
    return session;
  }

  #onClose(id: number): void {
    if (id === 0) return this.#port.onEnded();
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#port.onClosed(session);
  }
}
