/**
 * UDP on its way to another process: the sessions of every published socket with their own sockets, and the blocks of
 * source ports that these are bound to. Descriptors travel beside it, and are named by their index there.
 */
import { listenerKey } from "./listen/listen-address.ts";
import type { ListenerMap } from "./listen/listeners.ts";
import { portsOf, withDescriptors } from "./table/session-rows.ts";
import { blockOf } from "./table/source-ports.ts";
import type { HandedUdp } from "./table/worker-messages.ts";

export interface UdpState {
  readonly sockets: readonly {
    /** "udp [::]:53" */
    readonly listener: string;
    /** Among those of the listener, one for each worker. */
    readonly index: number;
    readonly targets: readonly string[];
    readonly rows: Uint8Array;
  }[];
  readonly claims: readonly {
    readonly worker: number;
    readonly block: number;
    readonly descriptor: number;
  }[];
}

/** Values as msgpack takes them, and the descriptors that they name by index. */
export interface Handed<T> {
  readonly value: T;
  readonly descriptors: readonly number[];
}

/** @param workers by index */
export function exportUdp(workers: readonly HandedUdp[], listeners: ListenerMap): Handed<UdpState> {
  const descriptors: number[] = [];
  const indexOf = (fd: number) => descriptors.push(fd) - 1;
  const places = new Map<number, { readonly listener: string; readonly index: number }>();
  for (const { at, fds } of listeners.values())
    for (const [index, fd] of fds.entries()) places.set(fd, { listener: listenerKey(at), index });
  const sockets = workers
    .flatMap(({ listeners }) => listeners)
    .flatMap(({ fd, targets, rows }) => {
      const place = places.get(fd);
      return place === undefined || rows.length === 0
        ? []
        : [{ ...place, targets, rows: bytesOf(withDescriptors(rows, indexOf)) }];
    });
  const claims = workers.flatMap(({ claims }, worker) =>
    claims.map(({ block, fd }) => ({ worker, block, descriptor: indexOf(fd) })),
  );
  return { value: { sockets, claims }, descriptors };
}

/** What another process has handed over, until the workers have taken it. */
export class InheritedUdp {
  readonly #claims: { worker: number; block: number; fd: number; users: number }[];
  readonly #sockets: Map<string, { targets: readonly string[]; rows: Int32Array }>;

  constructor(
    { value, descriptors }: Handed<UdpState>,
    readonly workers: number,
  ) {
    const numberOf = (index: number) => descriptors[index] ?? -1;
    const users = usersOfBlocks(value, workers);
    this.#claims = value.claims.map(({ worker, block, descriptor }) => {
      const of = users.get(block);
      const [first = worker % workers] = of ?? [];
      return { worker: first, block, fd: numberOf(descriptor), users: of?.size ?? 0 };
    });
    this.#sockets = new Map(
      value.sockets.map(({ listener, index, targets, rows }) => [
        placeOf(listener, index),
        { targets, rows: withDescriptors(wordsOf(rows), numberOf) },
      ]),
    );
  }

  /** Once for each worker; null: there is nothing for it. */
  take(worker: number, listeners: ListenerMap): HandedUdp | null {
    if (this.#claims.length === 0 && this.#sockets.size === 0) return null;
    const claims = this.#claims.filter((claim) => claim.worker === worker);
    for (const claim of claims) this.#claims.splice(this.#claims.indexOf(claim), 1);
    const taken = [...listeners.values()].flatMap(({ at, fds }) =>
      fds.flatMap((fd, index) => {
        const place = placeOf(listenerKey(at), index);
        const sessions = index % this.workers === worker ? this.#sockets.get(place) : undefined;
        this.#sockets.delete(sessions === undefined ? "" : place);
        return sessions === undefined ? [] : [{ fd, ...sessions }];
      }),
    );
    return { claims, listeners: taken };
  }

  /** Of ports that this process does not publish: their descriptors, to be closed. */
  takeRest(): number[] {
    const rest: number[] = this.#claims.map(({ fd }) => fd);
    for (const { rows } of this.#sockets.values()) withDescriptors(rows, (fd) => rest.push(fd));
    this.#claims.length = 0;
    this.#sockets.clear();
    return rest;
  }
}

/** Workers by block of source ports: those that will have the sockets whose sessions have ports of it. */
function usersOfBlocks({ sockets }: UdpState, workers: number): Map<number, Set<number>> {
  const users = new Map<number, Set<number>>();
  for (const { index, rows } of sockets)
    for (const port of portsOf(wordsOf(rows))) {
      const block = blockOf(port);
      const of = users.get(block) ?? new Set();
      users.set(block, of.add(index % workers));
    }
  return users;
}

function placeOf(listener: string, index: number): string {
  return `${listener} ${index}`;
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** A copy: bytes may begin anywhere in what was received. */
function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
