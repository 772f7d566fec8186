/**
 * Requests to the kernel and their answers, one at a time: acknowledged changes, single answers, and dumps, which are
 * taken again when what they list changed meanwhile. Everything else throws NetlinkError.
 */
import { EAGAIN, EPROTO, SysError } from "../../sys/errno.ts";
import { NetlinkSocket } from "../../sys/netlink-socket.ts";
import {
  decodeNetlinkMessages,
  decodeNetlinkOutcome,
  encodeNetlinkMessage,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../../wire/netlink/index.ts";
import { NetlinkError } from "./netlink-error.ts";

/** Then a list that changes all the time is good enough as it is. */
const DUMP_TRIES = 8;
/** Datagrams of one answer, each of up to 32 KiB: a table of more than a million routes. */
const DATAGRAMS_MAX = 8192;

/** What carries datagrams to the kernel and back; both throw SysError. */
export interface NetlinkTransport {
  send(bytes: Uint8Array): void;
  /** The caller's own copy. */
  receive(): Uint8Array;
  close(): void;
}

export interface NetlinkRequest {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

interface Answer {
  readonly payloads: readonly Uint8Array[];
  readonly isInterrupted: boolean;
}

export class NetlinkSession {
  readonly #transport: NetlinkTransport;
  #sequence = 0;

  constructor(transport: NetlinkTransport) {
    this.#transport = transport;
  }

  /** Of the network namespace that the calling thread is in. */
  static open(family?: Parameters<typeof NetlinkSocket.open>[0]): NetlinkSession {
    return new NetlinkSession(attempt("open a netlink socket", () => NetlinkSocket.open(family)));
  }

  /** Returns when it is done. @param what for the error: "create link portmesh0" */
  change(what: string, type: number, flags: number, payload: Uint8Array): void {
    this.#exchange(what, type, flags | NLM_F_ACK, payload);
  }

  /** All of them or none; returns when they are done. */
  transaction(what: string, requests: readonly NetlinkRequest[]): void {
    this.#exchangeAll(what, requests);
  }

  /** The one answer's payload. */
  get(what: string, type: number, payload: Uint8Array): Uint8Array {
    const [first] = this.#exchange(what, type, NLM_F_ACK, payload).payloads;
    if (first === undefined) throw new NetlinkError(what, EPROTO, "no answer");
    return first;
  }

  /** The payloads of all entries of a table. */
  dump(what: string, type: number, payload: Uint8Array): readonly Uint8Array[] {
    for (let tries = 1; ; tries++) {
      const { payloads, isInterrupted } = this.#exchange(what, type, NLM_F_DUMP, payload);
      if (!isInterrupted || tries === DUMP_TRIES) return payloads;
    }
  }

  close(): void {
    this.#transport.close();
  }

  #exchange(what: string, type: number, flags: number, payload: Uint8Array): Answer {
    return this.#exchangeAll(what, [{ type, flags, payload }]);
  }

  /** In one datagram; one of them is to be answered. */
  #exchangeAll(what: string, requests: readonly NetlinkRequest[]): Answer {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const head = { sequence: this.#sequence, portId: 0 };
    const messages = requests.map(({ type, flags, payload }) =>
      encodeNetlinkMessage({ ...head, type, flags: flags | NLM_F_REQUEST, payload }),
    );
    attempt(what, () => this.#transport.send(Buffer.concat(messages)));
    const payloads: Uint8Array[] = [];
    let isInterrupted = false;
    for (let datagrams = 0; datagrams < DATAGRAMS_MAX; datagrams++) {
      for (const message of this.#receive(what)) {
        isInterrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (isEnd(what, message)) return { payloads, isInterrupted };
        payloads.push(message.payload);
      }
    }
    throw new NetlinkError(what, EPROTO, "the reply is incomplete");
  }

  /** Messages of the next datagram that answer this request: those of one given up earlier may come late. */
  #receive(what: string): readonly NetlinkMessage[] {
    const messages = decodeNetlinkMessages(attempt(what, () => this.#transport.receive()));
    if (messages === null) throw new NetlinkError(what, EPROTO, "the reply is malformed");
    return messages.filter(({ sequence }) => sequence === this.#sequence);
  }
}

function isEnd(what: string, message: NetlinkMessage): boolean {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return false;
  const outcome = decodeNetlinkOutcome(message);
  if (outcome === null) throw new NetlinkError(what, EPROTO, "the reply is malformed");
  if (outcome.errno !== 0) throw new NetlinkError(what, outcome.errno, outcome.text);
  return true;
}

function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    const text = cause.errnoValue === EAGAIN ? "the kernel does not answer" : cause.call;
    throw new NetlinkError(what, cause.errnoValue, text, { cause });
  }
}
