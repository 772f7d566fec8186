/**
 * The record of a TCP connection or UDP session at its end, as workers write it into a ring (sys/record-ring.ts) and the
 * main thread reads it. Names travel as text that their owner has encoded once, so that writing a record is a few stores
 * and three copies.
 *
 *   0     float64 ×8   accepted at, waited, connect time, duration, bytes in, out, datagrams in, out
 *   64    int32 ×12    see I_…
 *   112   16 bytes ×2  client, peer: IPv4 in the first four
 *   144   text         service, listen address, task: UTF-8
 */
import type { Protocol } from "../../model/index.ts";
import { type RingReader, RingWriter } from "../../sys/record-ring.ts";
import type { Endpoint } from "../../wire/index.ts";
import { REFUSAL_REASONS } from "./counters.ts";

/** Why a connection or session ended; `done`: in order. Only in this process's memory, so the order may change. */
export const END_REASONS = [
  "done",
  "client-reset",
  "task-reset",
  "client-gone", // before a task had accepted
  "handed-over", // UDP: another process of this node continues it
  ...REFUSAL_REASONS,
] as const;
export type EndReason = (typeof END_REASONS)[number];

const END_INDEX = Object.fromEntries(END_REASONS.map((reason, index) => [reason, index])) as Readonly<
  Record<EndReason, number>
>;

/** How far it had come. */
const STAGES = ["header", "connect", "data", "last-data"] as const;
export type Stage = (typeof STAGES)[number];
export const STAGE_HEADER = 0; // waiting for a PROXY header, or not admitted
export const STAGE_CONNECT = 1; // waiting for a task
export const STAGE_DATA = 2;
export const STAGE_LAST_DATA = 3; // the task had sent FIN

/** What is recorded. */
export interface RecordRule {
  /** Whatever did not end in order. */
  readonly errors: boolean;
  /** Of those that did, one of so many; 0: none. */
  readonly every: number;
}

export const RECORD_NOTHING: RecordRule = { errors: false, every: 0 };

const FLOAT_COUNT = 8;
const I_BASE = FLOAT_COUNT * 2;
const I_FLAGS = 0;
const I_REASON = 1; // index in END_REASONS, and the stage << 8
const I_ERRNO = 2;
const I_PORTS = 3; // client << 16 | peer
const I_PUBLISHED = 4;
const I_TRIES = 5; // hedges << 16 | attempts
const I_OPEN = 6;
const I_SERVICE_OPEN = 7;
const I_TASK_OPEN = 8;
const I_SERVICE_LENGTH = 9;
const I_LISTEN_LENGTH = 10;
const I_TASK_LENGTH = 11;
const CLIENT_AT = 112;
const PEER_AT = 128;
const TEXT_AT = 144;
const FLAG_UDP = 1;
const FLAG_CLIENT_IPV6 = 2;
const FLAG_PEER_IPV6 = 4;
const MAX_TRIES = 0xffff;

const NO_TEXT = new Uint8Array(0);

/** What a worker fills in before it writes a record; the fields are those of `ConnectionRecord`. */
class EndFields {
  isUdp = false;
  reason: EndReason = "done";
  stage = STAGE_HEADER;
  errno = 0;
  client!: Endpoint;
  peer!: Endpoint;
  published = 0;
  attempts = 0;
  hedges = 0;
  open = 0;
  serviceOpen = 0;
  taskOpen = 0;
  acceptedAt = 0;
  waitMs = 0;
  connectMs = 0;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  datagramsIn = 0;
  datagramsOut = 0;
  service: Uint8Array = NO_TEXT;
  listen: Uint8Array = NO_TEXT;
  /** `taskText`; null: none was tried. */
  task: Uint8Array | null = null;
}

/** false: the ring is full. */
function writeRecord(ring: RingWriter, end: EndFields): boolean {
  const { service, listen } = end;
  const task = end.task ?? NO_TEXT;
  const at = ring.reserve(TEXT_AT + service.length + listen.length + task.length);
  if (at < 0) return false;
  const { float64, int32, bytes } = ring;
  const f = at / 8;
  float64[f] = end.acceptedAt;
  float64[f + 1] = end.waitMs;
  float64[f + 2] = end.connectMs;
  float64[f + 3] = end.durationMs;
  float64[f + 4] = end.bytesIn;
  float64[f + 5] = end.bytesOut;
  float64[f + 6] = end.datagramsIn;
  float64[f + 7] = end.datagramsOut;
  const i = at / 4 + I_BASE;
  int32[i + I_FLAGS] =
    (end.isUdp ? FLAG_UDP : 0) |
    (end.client.family === 6 ? FLAG_CLIENT_IPV6 : 0) |
    (end.peer.family === 6 ? FLAG_PEER_IPV6 : 0);
  int32[i + I_REASON] = END_INDEX[end.reason] | (end.stage << 8);
  int32[i + I_ERRNO] = end.errno;
  int32[i + I_PORTS] = (end.client.port << 16) | end.peer.port;
  int32[i + I_PUBLISHED] = end.published;
  int32[i + I_TRIES] = (Math.min(end.hedges, MAX_TRIES) << 16) | Math.min(end.attempts, MAX_TRIES);
  int32[i + I_OPEN] = end.open;
  int32[i + I_SERVICE_OPEN] = end.serviceOpen;
  int32[i + I_TASK_OPEN] = end.taskOpen;
  int32[i + I_SERVICE_LENGTH] = service.length;
  int32[i + I_LISTEN_LENGTH] = listen.length;
  int32[i + I_TASK_LENGTH] = task.length;
  writeAddress(bytes, at + CLIENT_AT, end.client);
  writeAddress(bytes, at + PEER_AT, end.peer);
  const text = at + TEXT_AT;
  bytes.set(service, text);
  bytes.set(listen, text + service.length);
  bytes.set(task, text + service.length + listen.length);
  ring.commit();
  return true;
}

function writeAddress(bytes: Uint8Array, at: number, endpoint: Endpoint): void {
  const length = endpoint.family === 6 ? 16 : 4;
  for (let i = 0; i < length; i++) bytes[at + i] = endpoint.bytes[endpoint.offset + i]!;
}

/** How the task is reached from here. */
export type TaskPath = "local" | "direct" | "overlay";

export interface RecordedTask {
  readonly name: string;
  /** "10.1.0.7:80" */
  readonly address: string;
  /** The node that runs it; null: this one. */
  readonly node: string | null;
  readonly path: TaskPath;
}

export function taskText({ name, address, node, path }: RecordedTask): Uint8Array {
  return new TextEncoder().encode(JSON.stringify([name, address, node, path]));
}

/** What `taskText` has written. */
export function parseTaskText(text: string): RecordedTask {
  const [name, address, node, path] = JSON.parse(text) as [string, string, string | null, TaskPath];
  return { name, address, node, path };
}

/** One finished TCP connection or UDP session. The same object for every record: it is valid until the next one is read. */
export class ConnectionRecord {
  protocol: Protocol = "tcp";
  service = "";
  published = 0;
  /** Address of the listener. */
  listen = "";
  /** `taskText`, "": no task was tried. */
  taskText = "";
  /** As the service sees it: where a PROXY header names another address than the peer's, that one. */
  readonly client = { family: 4 as 4 | 6, bytes: new Uint8Array(16), offset: 0, port: 0 };
  /** The other end of the socket: the client, or a load balancer. */
  readonly peer = { family: 4 as 4 | 6, bytes: new Uint8Array(16), offset: 0, port: 0 };
  reason: EndReason = "done";
  stage: Stage = "header";
  /** Positive; of the last failed attempt where none succeeded, or of the socket that broke; 0: none. */
  errno = 0;
  /** ms since 1970 */
  acceptedAt = 0;
  /** From accept until a task was tried; -1: none was. */
  waitMs = 0;
  /** From then until one had accepted; -1: none has. */
  connectMs = 0;
  /** From accept. */
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  datagramsIn = 0;
  datagramsOut = 0;
  /** Tasks tried. */
  attempts = 0;
  /** Of these, while an earlier attempt was still waiting for an answer. */
  hedges = 0;
  /** Open connections and sessions of the node, of the service and to the task, this one included. */
  open = 0;
  serviceOpen = 0;
  taskOpen = 0;

  /** @param at of the record's content */
  read(ring: RingReader, at: number): void {
    const { float64, int32, bytes } = ring;
    const f = at / 8;
    this.acceptedAt = float64[f]!;
    this.waitMs = float64[f + 1]!;
    this.connectMs = float64[f + 2]!;
    this.durationMs = float64[f + 3]!;
    this.bytesIn = float64[f + 4]!;
    this.bytesOut = float64[f + 5]!;
    this.datagramsIn = float64[f + 6]!;
    this.datagramsOut = float64[f + 7]!;
    const i = at / 4 + I_BASE;
    const flags = int32[i + I_FLAGS]!;
    this.protocol = (flags & FLAG_UDP) === 0 ? "tcp" : "udp";
    this.client.family = (flags & FLAG_CLIENT_IPV6) === 0 ? 4 : 6;
    this.peer.family = (flags & FLAG_PEER_IPV6) === 0 ? 4 : 6;
    const ports = int32[i + I_PORTS]!;
    this.client.port = ports >>> 16;
    this.peer.port = ports & 0xffff;
    for (let n = 0; n < 16; n++) {
      this.client.bytes[n] = bytes[at + CLIENT_AT + n]!;
      this.peer.bytes[n] = bytes[at + PEER_AT + n]!;
    }
    const reason = int32[i + I_REASON]!;
    this.reason = END_REASONS[reason & 0xff]!;
    this.stage = STAGES[reason >>> 8]!;
    this.errno = int32[i + I_ERRNO]!;
    this.published = int32[i + I_PUBLISHED]!;
    const tries = int32[i + I_TRIES]!;
    this.attempts = tries & 0xffff;
    this.hedges = tries >>> 16;
    this.open = int32[i + I_OPEN]!;
    this.serviceOpen = int32[i + I_SERVICE_OPEN]!;
    this.taskOpen = int32[i + I_TASK_OPEN]!;
    this.#readTexts(ring, at + TEXT_AT, i);
  }

  #readTexts({ text, int32 }: RingReader, at: number, i: number): void {
    const listenAt = at + int32[i + I_SERVICE_LENGTH]!;
    const taskAt = listenAt + int32[i + I_LISTEN_LENGTH]!;
    this.service = text.toString("utf8", at, listenAt);
    this.listen = text.toString("utf8", listenAt, taskAt);
    this.taskText = text.toString("utf8", taskAt, taskAt + int32[i + I_TASK_LENGTH]!);
  }
}

/** Writes what its rule wants; never waits. */
export class ConnectionRecorder {
  rule: RecordRule = RECORD_NOTHING;
  readonly end = new EndFields();
  readonly #ring: RingWriter;
  #left = 0;
  /** The reader has been, or is going to be, notified of what is in the ring. */
  #isAnnounced = false;
  #isHurried = false;

  /**
   * @param onFirst the ring was empty, as far as the reader has been notified
   * @param onFilling a quarter of it is used: time to notify the reader
   */
  constructor(
    ring: SharedArrayBuffer,
    readonly onFirst: () => void = () => undefined,
    readonly onFilling: () => void = () => undefined,
  ) {
    this.#ring = new RingWriter(ring);
  }

  /** Whether a connection that ends so is to be recorded. */
  wants(reason: EndReason): boolean {
    const { errors, every } = this.rule;
    if (reason !== "done" && reason !== "handed-over") return errors;
    if (every === 0) return false;
    if (this.#left > 0) {
      this.#left--;
      return false;
    }
    this.#left = every - 1;
    return true;
  }

  /** Records `end`. */
  write(): void {
    writeRecord(this.#ring, this.end);
    if (!this.#isAnnounced) {
      this.#isAnnounced = true;
      this.onFirst();
    }
    if (this.#isHurried || this.#ring.usedBytes < this.#ring.capacity / 4) return;
    this.#isHurried = true;
    this.onFilling();
  }

  /** There is something that the reader has not been notified of. */
  get isPending(): boolean {
    return this.#isAnnounced;
  }

  /** The reader is notified now. */
  onNotified(): void {
    this.#isAnnounced = false;
    this.#isHurried = false;
  }
}
