/**
 * What predecessor and successor say to each other, one msgpack map a message:
 *
 *     successor                                predecessor
 *     hello  {layout, version, pid, identity}  ->
 *                                         <-   refused {reason}, or
 *                                         <-   manifest {pid, version, sockets}
 *                                         <-   sockets {keys} with as many descriptors, several times
 *     begin  (its workers run)            ->   stops gossip, saves the state, holds commands back
 *                                         <-   state {key, bytes, isLast} with descriptors, several times
 *                                         <-   sockets {keys} that have been opened since, then state-end
 *     ready  (it serves)                  ->   forgets its sockets, drains
 *                                         <-   draining {openConnections, leftMs}, at once and until it ends
 *
 * Until `ready` each side may close the connection: the predecessor then goes on as before. `draining` is the answer to
 * `ready`: a predecessor that has given up waiting sends `refused` instead.
 */
import { decodeWhole, encodeValue, isMap } from "../../wire/index.ts";
import type { Identity } from "./identity.ts";

/** Of these messages and of everything in them; other numbers are refused. */
export const LAYOUT = 3;

export interface Draining {
  readonly openConnections: number;
  readonly leftMs: number;
}

export type HandoverMessage =
  | {
      readonly type: "hello";
      readonly layout: number;
      readonly version: string;
      /** As the successor sees itself, which may be in another PID namespace. */
      readonly pid: number;
      readonly identity: Identity;
    }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "manifest"; readonly pid: number; readonly version: string; readonly sockets: number }
  | { readonly type: "sockets"; readonly keys: readonly string[] }
  | { readonly type: "begin" }
  | {
      readonly type: "state";
      readonly key: string;
      readonly bytes: Uint8Array;
      /** Of the parts of one key. */
      readonly isLast: boolean;
    }
  | { readonly type: "state-end" }
  | { readonly type: "ready" }
  | { readonly type: "failed"; readonly reason: string }
  | ({ readonly type: "draining" } & Draining);

export function encodeMessage(message: HandoverMessage): Uint8Array {
  return encodeValue(message);
}

/** null: not one of ours. Both ends are portmesh of the same layout and user, so the fields are believed. */
export function decodeMessage(bytes: Uint8Array): HandoverMessage | null {
  const value = decodeWhole(bytes);
  return isMap(value) && typeof value.type === "string" ? (value as unknown as HandoverMessage) : null;
}
