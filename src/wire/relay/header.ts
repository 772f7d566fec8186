/**
 * What two nodes say to each other on a relay connection before the client's bytes. Big-endian.
 *
 *     entry node                                        exit node
 *       connects                                     ──▶  accepts
 *                  ◀── greeting: version 2, challenge 16, public key 32
 *       PROXY v2 header of the client                ──▶  checks, connects to its task
 *                  ◀── answer: 1 byte, 0 = connected
 *       the client's bytes                          ◀──▶  the task's
 *
 * The header is a PROXY v2 header [PROXY §2.2], so that other programs can read it: source is the client, destination the
 * published address, and in type-length-values of the range for applications (0xE0…0xEF):
 *
 *     E0 service · E1 task · E2 target port (2 bytes)     which of the exit node's own tasks is meant
 *     E3 challenge                                        that of this connection: a header is good for one alone
 *     E4 tag, last: HMAC-SHA-256 of a label, the exit node's name and all before it, the first 16 bytes
 *
 * The exit node connects to what it has declared itself under these names, never to an address of the header. A LOCAL
 * header has no E0…E2 and begins a heartbeat: every byte that follows the answer comes back.
 *
 * Between nodes whose relays are sealed a hello and records take the place of all this (`sealed-hello.ts`); of the header,
 * addresses and E0…E2 remain.
 *
 * Deviates from a time and a nonce in the header: a challenge needs no clocks that agree and no memory of nonces.
 */
import { readUint16 } from "../big-endian.ts";
import type { Endpoint } from "../ip/ip-address.ts";
import type { ProxyHeader } from "../proxy-protocol/header.ts";
import { encodeProxyV2, encodeProxyV2Local, PROXY_V2_MAX_ENCODED_BYTES } from "../proxy-protocol/v2.ts";
import { TAG_BYTES } from "./datagram.ts";
import {
  isRelayName,
  readTlvs,
  TLV_HEADER_BYTES,
  TLV_SERVICE,
  TLV_TARGET_PORT,
  TLV_TASK,
  writeTlv,
} from "./session.ts";
import { Tagger } from "./tag.ts";

export const RELAY_VERSION = 2;
export const RELAY_CHALLENGE_BYTES = 16;
export const RELAY_NONCE_BYTES = 16;
export const RELAY_PUBLIC_KEY_BYTES = 32;
const PUBLIC_KEY_AT = 1 + RELAY_CHALLENGE_BYTES;
export const GREETING_BYTES = PUBLIC_KEY_AT + RELAY_PUBLIC_KEY_BYTES;

const TLV_CHALLENGE = 0xe3;
const TLV_TAG = 0xe4;
const LENGTH_AT = 14;
const FIXED_BYTES = 16;
/** Addresses and ports of both sides. */
const IPV4_BLOCK_BYTES = 12;
const IPV6_BLOCK_BYTES = 36;
const CHALLENGE_TLV_BYTES = TLV_HEADER_BYTES + RELAY_CHALLENGE_BYTES;
const TAG_TLV_BYTES = TLV_HEADER_BYTES + TAG_BYTES;
/** Three values: two names of at most 255 bytes and a port. */
const MAX_NAMES_BYTES = 3 * TLV_HEADER_BYTES + 2 * 255 + 2;
/** Without challenge and tag, as it is in a record. */
export const RELAY_QUESTION_MAX_BYTES = PROXY_V2_MAX_ENCODED_BYTES + MAX_NAMES_BYTES;
export const RELAY_HEADER_MAX_BYTES = RELAY_QUESTION_MAX_BYTES + CHALLENGE_TLV_BYTES + TAG_TLV_BYTES;

/** What the exit node answers; everything but connected ends the connection. */
export const RELAY_CONNECTED = 0;
export const RELAY_NO_SUCH_TASK = 1;
export const RELAY_TASK_REFUSED = 2;
export const RELAY_TASK_TIMED_OUT = 3;
export const RELAY_DRAINING = 4;
export const RELAY_OUT_OF_DESCRIPTORS = 5;

/** Which task is meant: the values E0…E2, made once for each. null: a name is empty or longer than 255 bytes. */
export function encodeRelayTask(service: string, task: string, targetPort: number): Uint8Array | null {
  const encoder = new TextEncoder();
  const [serviceName, taskName] = [encoder.encode(service), encoder.encode(task)];
  if (!isRelayName(serviceName) || !isRelayName(taskName)) return null;
  const out = new Uint8Array(MAX_NAMES_BYTES);
  let end = writeTlv(TLV_SERVICE, serviceName, out, 0);
  end = writeTlv(TLV_TASK, taskName, out, end);
  end = writeTlv(TLV_TARGET_PORT, Uint8Array.of(targetPort >> 8, targetPort), out, end);
  return out.slice(0, end);
}

export function writeGreeting(
  challenge: Uint8Array,
  publicKey: Uint8Array,
  out: Uint8Array,
  at: number,
): number {
  out[at] = RELAY_VERSION;
  out.set(challenge, at + 1);
  out.set(publicKey, at + PUBLIC_KEY_AT);
  return GREETING_BYTES;
}

/** The challenge of a greeting, a view. */
export function greetingChallenge(greeting: Uint8Array): Uint8Array {
  return greeting.subarray(1, PUBLIC_KEY_AT);
}

/** Where a client comes from and the published address it asked for. */
export interface RelayClients {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/**
 * Writes what is asked for a client, or a heartbeat's question where both are null, without proof of who asks; returns
 * its length, RELAY_QUESTION_MAX_BYTES at most.
 */
export function writeRelayQuestion(
  clients: RelayClients | null,
  task: Uint8Array | null,
  out: Uint8Array,
  at: number,
): number {
  let end =
    clients === null
      ? at + encodeProxyV2Local(out, at)
      : at + encodeProxyV2(clients.source, clients.destination, "tcp", out, at);
  if (task !== null) {
    out.set(task, end);
    end += task.length;
  }
  writeLength(out, at, end - at);
  return end - at;
}

function writeLength(out: Uint8Array, at: number, length: number): void {
  out[at + LENGTH_AT] = (length - FIXED_BYTES) >> 8;
  out[at + LENGTH_AT + 1] = length - FIXED_BYTES;
}

export interface RelayTask {
  readonly service: string;
  readonly task: string;
  readonly targetPort: number;
}

/** Signs and checks headers under one relay key, for the exit node of that name. */
export class RelaySigner {
  readonly #tagger: Tagger;
  readonly #context: Uint8Array;

  constructor(key: Uint8Array, exitNode: string) {
    this.#tagger = new Tagger(key);
    this.#context = new TextEncoder().encode(`portmesh tcp relay\0${exitNode}\0`);
  }

  /**
   * Writes the header for a client, or for a heartbeat where `task` is null, and returns its length. There must be room
   * for RELAY_HEADER_MAX_BYTES.
   */
  write(
    clients: RelayClients | null,
    task: Uint8Array | null,
    challenge: Uint8Array,
    out: Uint8Array,
    at: number,
  ): number {
    let end = at + writeRelayQuestion(clients, task, out, at);
    end = writeTlv(TLV_CHALLENGE, challenge, out, end);
    const length = end + TAG_TLV_BYTES - at;
    writeLength(out, at, length);
    out[end] = TLV_TAG;
    out[end + 1] = 0;
    out[end + 2] = TAG_BYTES;
    this.#tagger.write(
      [this.#context, out.subarray(at, end + TLV_HEADER_BYTES)],
      out,
      end + TLV_HEADER_BYTES,
    );
    return length;
  }

  /** Whether the header of that length at `at`, which ends in a tag, was written by who has the key. */
  isSigned(bytes: Uint8Array, at: number, length: number): boolean {
    const tagAt = at + length - TAG_BYTES;
    return this.#tagger.matches([this.#context, bytes.subarray(at, tagAt)], bytes, tagAt);
  }
}

/** What a header says besides the addresses; nothing of it is proved yet. */
export interface RelayValues {
  /** null: a heartbeat. */
  readonly task: RelayTask | null;
  readonly challenge: Uint8Array;
}

/** `header` has been decoded from `at` and is complete. null: another header, or not as a node writes it. */
export function readRelayValues(bytes: Uint8Array, at: number, header: ProxyHeader): RelayValues | null {
  const values = readValues(bytes, at, header);
  const challenge = values?.get(TLV_CHALLENGE);
  if (values === null || challenge?.length !== RELAY_CHALLENGE_BYTES) return null;
  const tagAt = at + header.headerLength - TAG_TLV_BYTES;
  if (bytes[tagAt] !== TLV_TAG || values.get(TLV_TAG)?.length !== TAG_BYTES) return null;
  if (header.command === "local") return { task: null, challenge };
  const task = readTask(values);
  return task === null ? null : { task, challenge };
}

/** The same for one that came in a record, which needs no challenge and no tag. */
export function readRelayQuestion(
  bytes: Uint8Array,
  at: number,
  header: ProxyHeader,
): Pick<RelayValues, "task"> | null {
  const values = readValues(bytes, at, header);
  if (values === null) return null;
  if (header.command === "local") return { task: null };
  const task = readTask(values);
  return task === null ? null : { task };
}

function readValues(bytes: Uint8Array, at: number, header: ProxyHeader): Map<number, Uint8Array> | null {
  const isHeartbeat = header.command === "local";
  if (!isHeartbeat && (!header.hasEndpoints || header.transport !== "tcp")) return null;
  const blockBytes = isHeartbeat ? 0 : header.source.family === 4 ? IPV4_BLOCK_BYTES : IPV6_BLOCK_BYTES;
  return readTlvs(bytes, at + FIXED_BYTES + blockBytes, at + header.headerLength);
}

function readTask(values: ReadonlyMap<number, Uint8Array>): RelayTask | null {
  const [service, task, port] = [TLV_SERVICE, TLV_TASK, TLV_TARGET_PORT].map((type) => values.get(type));
  if (service === undefined || task === undefined || port?.length !== 2) return null;
  if (!isRelayName(service) || !isRelayName(task)) return null;
  const decoder = new TextDecoder();
  return {
    service: decoder.decode(service),
    task: decoder.decode(task),
    targetPort: readUint16(port, 0),
  };
}
