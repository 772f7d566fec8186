/**
 * The listening sockets of the proxy: those that are open now, and those that another table needs. Every socket of a
 * change is opened and bound before any is closed, so a change that fails has touched nothing. A port that cannot be
 * bound does not fail the change: it is a listener with an error.
 */
import type { InheritedSockets } from "../../sys/inherited-sockets.ts";
import { OwnPorts } from "../../sys/port-owner.ts";
import { close } from "../../sys/socket.ts";
import type { RoutingTable } from "../table/routing-table.ts";
import type { DescriptorBudget } from "./descriptor-budget.ts";
import { cannotListen, inheritedKey, type ListenAddress, listenerKey, portKey } from "./listen-address.ts";
import { type OpenedSockets, openListeningSockets, pickAmong } from "./listening-sockets.ts";
import { excessListeners, isRelayAddress, RELAY_NAME, wantedListeners } from "./wanted-listeners.ts";
import { otherWildcard, type Wanted } from "./wildcard-pair.ts";

const RELAY_HINT =
  ": no other node can reach this node's tasks; Docker Swarm also uses 4789: set another overlay.port";
const RELAY_HAS_IT =
  "the relay of this node uses it: publish another port, or set overlay.port or cluster.bind";

/** One published address: its sockets, one per worker or more, or why there are none. */
export interface Listener {
  readonly service: string;
  readonly at: ListenAddress;
  readonly fds: readonly number[];
  readonly error: string | null;
  /** The sockets at "::" are those of "0.0.0.0" too, which has none of its own. */
  readonly isPaired?: true;
}

/** By key. */
export type ListenerMap = ReadonlyMap<string, Listener>;

/** `error` null: it has been opened after all. */
export interface ListenerReport extends ListenAddress {
  readonly service: string;
  readonly error: string | null;
}

export interface BindError extends ListenerReport {
  readonly error: string;
}

/** The difference between the running table and another: for `reload` and `reload --dry-run`. */
export interface TableChanges {
  /** "tcp 0.0.0.0:8080" */
  readonly listenersOpened: readonly string[];
  readonly listenersClosed: readonly string[];
}

/** Sockets are open and bound, nothing is visible to clients yet. Commit or abandon it, once. */
export interface PreparedTable {
  readonly changes: TableChanges;
  /** Ports that cannot be bound now; they do not stop a commit and are retried. */
  readonly bindErrors: readonly BindError[];
  readonly table: RoutingTable;
  /** Those that stay are the running ones. */
  readonly listeners: ListenerMap;
}

export interface ListenersOptions {
  readonly budget: DescriptorBudget;
  /** Asked before a socket is opened. */
  readonly inherited?: InheritedSockets | undefined;
  readonly open?: typeof openListeningSockets;
  readonly pick?: typeof pickAmong;
  readonly close?: (fd: number) => void;
}

export class Listeners {
  #running: ListenerMap = new Map();
  readonly #budget: DescriptorBudget;
  readonly #open: typeof openListeningSockets;
  readonly #pick: typeof pickAmong;
  readonly #close: (fd: number) => void;
  readonly #inherited: InheritedSockets | undefined;

  constructor(options: ListenersOptions) {
    this.#budget = options.budget;
    this.#inherited = options.inherited;
    this.#open = options.open ?? openListeningSockets;
    this.#pick = options.pick ?? pickAmong;
    this.#close = options.close ?? close;
  }

  get running(): ListenerMap {
    return this.#running;
  }

  get bindErrors(): BindError[] {
    return bindErrorsOf(this.#running);
  }

  /** Where clients of services reach this node. */
  get openPorts(): ListenAddress[] {
    return [...this.#running.values()]
      .filter((listener) => listener.service !== RELAY_NAME && isOpen(listener))
      .map(({ at }) => at);
  }

  get socketCount(): number {
    return [...this.#running.values()].reduce((sum, { fds }) => sum + fds.length, 0);
  }

  /** What a commit of `table` would change; opens nothing. */
  compare(table: RoutingTable): TableChanges {
    const wanted = wantedListeners(table);
    return {
      listenersOpened: [...wanted].filter(([key]) => !this.#isOpen(key)).map(([key]) => key),
      listenersClosed: [...this.#running.keys()].filter((key) => this.#isOpen(key) && !wanted.has(key)),
    };
  }

  prepare(table: RoutingTable): PreparedTable {
    const changes = this.compare(table);
    const listeners = this.#openAll(table);
    return { changes, bindErrors: bindErrorsOf(listeners), table, listeners };
  }

  abandon({ listeners }: PreparedTable): void {
    for (const listener of this.newIn(listeners)) listener.fds.forEach(this.#close);
  }

  /** Those whose sockets are not the running ones. */
  newIn(listeners: ListenerMap): Listener[] {
    return [...listeners]
      .filter(([key, { fds }]) => this.#running.get(key)?.fds !== fds)
      .map(([, listener]) => listener);
  }

  /** Those that can be bound now and could not before, or the reverse. */
  changedIn(listeners: ListenerMap): ListenerReport[] {
    return [...listeners]
      .filter(([key, { error }]) => error !== (this.#running.get(key)?.error ?? null))
      .map(([, { service, at, error }]) => ({ service, ...at, error }));
  }

  /** Every socket that another process can continue with, by the key under which it asks for it. */
  get sockets(): [key: string, fd: number][] {
    return [...this.#running.values()].flatMap(({ service, at, fds, isPaired }) => {
      const key = inheritedKey(isPaired ? { ...at, isDual: true } : at, service === RELAY_NAME);
      return fds.map((fd, index): [string, number] => [`${key}:${index}`, fd]);
    });
  }

  /** A process that was to take over may have added sockets to those beside the node's own, which are gone with it. */
  pickAgain(): void {
    for (const { at, fds } of this.#running.values())
      if (at.isBesideNode === true) this.#pick(fds, fds.length);
  }

  /** Running TCP sockets that are not among these. */
  tcpSocketsNotIn(listeners: ListenerMap): number[] {
    const staying = new Set([...listeners.values()].flatMap(({ fds }) => fds));
    const tcp = [...this.#running.values()].filter(({ at }) => at.protocol === "tcp");
    return tcp.flatMap(({ fds }) => fds).filter((fd) => !staying.has(fd));
  }

  /** These are the running ones from now on. Returns whether other ports than before cannot be bound. */
  replace(listeners: ListenerMap): boolean {
    const before = this.bindErrors;
    this.#running = listeners;
    return !Bun.deepEquals(this.bindErrors, before);
  }

  #openAll(table: RoutingTable): ListenerMap {
    const excess = excessListeners(table, this.#budget);
    const mostOpen = this.#budget.forListeners(table.peers.length) / this.#budget.workers;
    const openPorts = new Set([...this.#running.values()].filter(isOpen).map(({ at }) => portKey(at)));
    const listeners = new Map<string, Listener>();
    const wanted = wantedListeners(table);
    const ownPorts = new OwnPorts();
    let opened = [...wanted.keys()].filter((key) => this.#hasSockets(key)).length;
    for (const [key, each] of wanted) {
      const { service, at } = each;
      const running = this.#running.get(key);
      const pair = service === RELAY_NAME ? null : otherWildcard(each, wanted);
      const isStaying = running !== undefined && isOpen(running) && (pair !== null || !running.isPaired);
      if (listeners.has(key)) continue; // opened together with the other
      if (service !== RELAY_NAME && isRelayAddress(at, table.relay))
        listeners.set(key, { service, at, fds: [], error: cannotListen(at, RELAY_HAS_IT) });
      else if (isStaying) listeners.set(key, { ...running, service });
      else if (excess !== null && ++opened > mostOpen)
        listeners.set(key, { service, at, fds: [], error: cannotListen(at, excess) });
      else {
        const isShared = openPorts.has(portKey(at));
        const canPair =
          pair !== null &&
          !listeners.has(listenerKey(pair.at)) &&
          !isRelayAddress(pair.at, table.relay) &&
          !this.#hasSockets(listenerKey(pair.at));
        const both = canPair ? this.#openPair(each, isShared, ownPorts) : null;
        if (both === null) listeners.set(key, this.#openOne(each, isShared, ownPorts));
        for (const listener of both ?? []) listeners.set(listenerKey(listener.at), listener);
      }
    }
    return listeners;
  }

  /** One socket per worker for both families; null: not possible. */
  #openPair({ service, at }: Wanted, isShared: boolean, ownPorts: OwnPorts): Listener[] | null {
    const [v4, v6] = ["0.0.0.0", "::"].map((address) => ({ ...at, address }));
    const opened = this.#openAt({ ...v6!, isDual: true }, false, isShared, ownPorts);
    if ("error" in opened) return null;
    return [
      { service, at: v4!, fds: [], error: null, isPaired: true },
      { service, at: v6!, fds: opened.fds, error: null, isPaired: true },
    ];
  }

  #openOne({ service, at }: Wanted, isShared: boolean, ownPorts: OwnPorts): Listener {
    const opened = this.#openAt(at, service === RELAY_NAME, isShared, ownPorts);
    return "fds" in opened
      ? { service, at, fds: opened.fds, error: null }
      : { service, at, fds: [], error: service === RELAY_NAME ? opened.error + RELAY_HINT : opened.error };
  }

  /** Inherited sockets first: clients may wait in their queues. What is missing for this process's workers is opened. */
  #openAt(at: ListenAddress, isRelay: boolean, isShared: boolean, ownPorts: OwnPorts): OpenedSockets {
    const { workers } = this.#budget;
    const fds = this.#inherited?.takeAll(inheritedKey(at, isRelay)) ?? [];
    if (fds.length === 0) return this.#open(at, workers, isShared, ownPorts);
    const missing = workers - fds.length;
    const more = missing <= 0 ? null : this.#open(at, missing, true, ownPorts, fds.length);
    return { fds: [...fds, ...(more !== null && "fds" in more ? more.fds : [])] };
  }

  #isOpen(key: string): boolean {
    const listener = this.#running.get(key);
    return listener !== undefined && isOpen(listener);
  }

  #hasSockets(key: string): boolean {
    return (this.#running.get(key)?.fds.length ?? 0) > 0;
  }
}

function isOpen(listener: Listener): boolean {
  return listener.error === null;
}

function bindErrorsOf(listeners: ListenerMap): BindError[] {
  return [...listeners.values()].flatMap(({ service, at, error }) =>
    error === null ? [] : [{ service, ...at, error }],
  );
}
