/**
 * Closes ports that lead to no reachable task, and opens them when there is one: a load balancer in front then sees a
 * refused connection and tries another node, where an accepted and reset one is an error to its client.
 *
 * A port that has been open stays open for a moment, so that a task may move from node to node; one that was not is
 * opened for a reachable task only, also that of a new service. A port that does not listen here anyway (nodes, bind, mode
 * host) is not touched.
 */
import {
  addressesOf,
  EMPTY_TABLE,
  type PublishedPort,
  type RoutingTable,
  type Service,
  type SpliceProxy,
  servesPort,
} from "../proxy/index.ts";
import type { Clock } from "../sys/clock.ts";
import { portKey, type RoutingInput } from "./routing-input.ts";

const TICK_MS = 100;
/** Ticks in a row without a reachable task before an open port is closed. */
const TICKS_TO_CLOSE = 5;
/** A tick that comes so much later was held up with this process: it says nothing about others. */
const LATE_MS = TICK_MS;
/**
 * Looks without a heartbeat, four a second, before a node is silent: starved nodes come back. One that begins to serve has
 * them for its first. Not a time: a look is made only by a thread that would have heard the heartbeat.
 */
const LOOKS_TO_SPEAK = 4;

/** What the proxy knows of the tasks. */
export type TaskReach = Pick<SpliceProxy, "isTaskUp" | "silentLooksOf" | "openConnectionsOf">;

/** Set when tasks have gone down or come up, which thousands may do at once; taken by the next look. */
export class ReachNews {
  #isSet = false;

  set(): void {
    this.#isSet = true;
  }

  take(): boolean {
    const wasSet = this.#isSet;
    this.#isSet = false;
    return wasSet;
  }
}

export interface PortGateOptions {
  readonly reach: TaskReach;
  readonly news: ReachNews;
  readonly clock: Clock;
  /** Whether another node has said that it cannot reach this task of its own. */
  readonly isReportedDown: (node: string, service: string, task: string, portKey: string) => boolean;
  /** Ports of the running table are to be closed or opened: make a new one. */
  readonly onDue: () => void;
  /** The running table is another one, or tasks have gone down or come up. */
  readonly onReach: (input: RoutingInput, table: RoutingTable) => void;
}

interface Silence {
  /** As the proxy counts them. */
  readonly looks: number;
  /** Those that a tick in time has seen; at most one each. */
  readonly counted: number;
}

export class PortGate {
  readonly #options: PortGateOptions;
  #running = EMPTY_TABLE;
  #input: RoutingInput | null = null;
  /** Open ports without a reachable task → ticks since; bounded by the ports of the running table. */
  #waiting = new Map<string, number>();
  /** A port is open only for the sessions of tasks that drain. */
  #isDrainAwaited = false;
  /** Peers without a heartbeat; those of nodes that have just begun to serve start anew. */
  readonly #silences = new Map<string, Silence>();
  /** Nodes that serve in the running table. */
  #serving: ReadonlySet<string> = new Set();
  #isLookDue = false;
  #cancelTick: () => void = () => undefined;

  constructor(options: PortGateOptions) {
    this.#options = options;
  }

  /** The same table with its ports closed where that is due. Changes nothing here. */
  close(table: RoutingTable): RoutingTable {
    const open = new Set([...openPorts(this.#running)].map(([service, port]) => gateKey(service, port)));
    const services = table.services.map((service) => ({
      ...service,
      ports: service.ports.map((port) => (this.#isToClose(service, port, open) ? closed(port) : port)),
    }));
    return { ...table, services };
  }

  /** The proxy now runs this table, which `close` has made of the input. */
  onApplied(input: RoutingInput, table: RoutingTable): void {
    const serving = servingNodes(table);
    for (const name of this.#silences.keys())
      if (!serving.has(name) || !this.#serving.has(name)) this.#silences.delete(name);
    this.#serving = serving;
    this.#running = table;
    this.#input = input;
    this.#isLookDue = this.#look(0);
    this.#options.onReach(input, table);
  }

  start(): void {
    const { clock } = this.#options;
    const dueMs = clock.nowMs() + TICK_MS;
    this.#cancelTick = clock.after(TICK_MS, () => {
      this.#tick(clock.nowMs() - dueMs < LATE_MS);
      this.start();
    });
  }

  stop(): void {
    this.#cancelTick();
  }

  /** @param isInTime silence and waiting since the last tick count */
  #tick(isInTime: boolean): void {
    const hasNews = this.#options.news.take() || this.#isLookDue;
    this.#isLookDue = false;
    const isOtherPeer = this.#listenToPeers(isInTime);
    if (!hasNews && !isOtherPeer && this.#waiting.size === 0 && !this.#isDrainAwaited) return;
    if (this.#look(isInTime ? 1 : 0)) this.#options.onDue();
    if (hasNews && this.#input !== null) this.#options.onReach(this.#input, this.#running);
  }

  /** Whether a peer is to be taken for silent from now on, or has been heard again. */
  #listenToPeers(isInTime: boolean): boolean {
    let hasChanged = false;
    for (const { name } of this.#running.peers) {
      const wasSilent = this.#isSilentPeer(name);
      const looks = this.#options.reach.silentLooksOf(name);
      if (looks === 0) this.#silences.delete(name);
      else {
        const before = this.#silences.get(name) ?? { looks: 0, counted: 0 };
        const isCounted = isInTime && looks !== before.looks;
        this.#silences.set(name, { looks, counted: before.counted + (isCounted ? 1 : 0) });
      }
      hasChanged ||= this.#isSilentPeer(name) !== wasSilent;
    }
    return hasChanged;
  }

  #isSilent(node: string): boolean {
    return this.#serving.has(node) && this.#isSilentPeer(node);
  }

  #isSilentPeer(name: string): boolean {
    return (this.#silences.get(name)?.counted ?? 0) >= LOOKS_TO_SPEAK;
  }

  /** Whether a port is to be closed or opened. @param ticks since the last look */
  #look(ticks: number): boolean {
    const before = this.#waiting;
    this.#waiting = new Map();
    this.#isDrainAwaited = false;
    let isDue = false;
    for (const [service, port] of publishedPorts(this.#running)) {
      if (this.#leadsSomewhere(service, port)) isDue ||= port.isClosed === true;
      else if (port.isClosed !== true) {
        const key = gateKey(service, port);
        const waited = (before.get(key) ?? 0) + ticks;
        this.#waiting.set(key, waited);
        isDue ||= waited >= TICKS_TO_CLOSE;
      }
    }
    return isDue;
  }

  #isToClose(service: Service, port: PublishedPort, open: ReadonlySet<string>): boolean {
    if (addressesOf(service, port).length === 0 || this.#leadsSomewhere(service, port)) return false;
    const key = gateKey(service, port);
    return !open.has(key) || (this.#waiting.get(key) ?? 0) >= TICKS_TO_CLOSE;
  }

  #leadsSomewhere(service: Service, port: PublishedPort): boolean {
    const { reach, isReportedDown } = this.#options;
    for (const task of service.tasks) {
      const { node, name } = task;
      if (!servesPort(port, task)) continue;
      if (task.isOutOfRotation === true) continue;
      if (task.isDraining && !this.#hasSessions(service, port, task)) continue;
      if (node === null && reach.isTaskUp(task, port)) return true;
      if (node === null || this.#isSilent(node)) continue;
      if (!isReportedDown(node, service.name, name, portKey(port))) return true;
    }
    return false;
  }

  /** Sessions of UDP end with their listener, so it stays for those of a task that drains. */
  #hasSessions(service: Service, port: PublishedPort, task: Service["tasks"][number]): boolean {
    if (port.protocol !== "udp" || this.#options.reach.openConnectionsOf(service, task) === 0) return false;
    this.#isDrainAwaited = true;
    return true;
  }
}

/** With their services, without those that have no listener. */
function* publishedPorts({ services }: RoutingTable): Generator<[Service, PublishedPort]> {
  for (const service of services) {
    for (const port of service.ports)
      if (port.isClosed === true || addressesOf(service, port).length > 0) yield [service, port];
  }
}

function* openPorts(table: RoutingTable): Generator<[Service, PublishedPort]> {
  for (const entry of publishedPorts(table)) if (entry[1].isClosed !== true) yield entry;
}

/** Other nodes with a task that does not drain. */
function servingNodes({ services }: RoutingTable): Set<string> {
  const serving = new Set<string>();
  for (const { tasks } of services) {
    for (const { node, isDraining } of tasks) if (node !== null && !isDraining) serving.add(node);
  }
  return serving;
}

function closed(port: PublishedPort): PublishedPort {
  return { ...port, isClosed: true };
}

function gateKey({ name }: Service, port: PublishedPort): string {
  return `${name} ${portKey(port)}`;
}
