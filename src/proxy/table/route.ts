/**
 * A routing table made ready for the data path: prefixes compiled, balancers built, counters located.
 *
 * Routes are immutable. A connection keeps the route it was accepted on, so a reload does not change its rules.
 */
import type { Protocol, SendProxy, UdpRules } from "../../model/index.ts";
import { PrefixSet } from "../../wire/index.ts";
import { type Balancer, createBalancer } from "../balance/index.ts";
import { ClientLimits } from "./client-limits.ts";
import {
  countTime,
  REFUSAL_INDEX,
  type RefusalReason,
  S_REFUSALS,
  S_UDP_REFUSALS,
  S_WAITS,
  SERVICE_FIELDS,
  type SharedCounters,
} from "./counters.ts";
import { peersOf, type RelayPeer, type RelayPeers } from "./peer.ts";
import { servesPort } from "./port-tasks.ts";
import type { TaskEndpoint } from "./routing-table.ts";
import { Target } from "./target.ts";
import type { WorkerPort, WorkerService, WorkerTable, WorkerTask } from "./worker-messages.ts";

export class Rules {
  readonly name: string;
  readonly slot: number;
  readonly sendProxy: SendProxy;
  readonly acceptProxy: PrefixSet;
  readonly hasAcceptProxy: boolean;
  readonly maxConnections: number;
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly udp: UdpRules;
  /** null: no client is limited. */
  readonly tcpClients: ClientLimits | null;
  readonly udpClients: ClientLimits | null;
  /** This worker's row and where the service's fields start in it. */
  readonly row: Float64Array;
  readonly at: number;
  #text: Uint8Array | null = null;
  readonly #allow: PrefixSet;
  readonly #deny: PrefixSet;
  readonly #isOpenToAll: boolean;

  constructor(service: WorkerService, counters: SharedCounters, worker: number) {
    this.name = service.name;
    this.slot = service.slot;
    this.sendProxy = service.sendProxy;
    this.acceptProxy = PrefixSet.from(service.acceptProxy);
    this.hasAcceptProxy = !this.acceptProxy.isEmpty;
    this.maxConnections = service.maxConnections;
    this.idleTimeoutMs = service.idleTimeoutMs;
    this.drainTimeoutMs = service.drainTimeoutMs;
    this.udp = service.udp;
    this.tcpClients = ClientLimits.of(counters.clients, service.slot, "tcp", service.perClient);
    this.udpClients = ClientLimits.of(counters.clients, service.slot, "udp", service.perClient);
    this.row = counters.services[worker]!;
    this.at = service.slot * SERVICE_FIELDS;
    this.#allow = PrefixSet.from(service.allow);
    this.#deny = PrefixSet.from(service.deny);
    this.#isOpenToAll = this.#allow.matchesEverything && service.deny.length === 0;
  }

  /** @param offset of the address in network order: 4 bytes for family 4, 16 for family 6 */
  admits(family: 4 | 6, bytes: Uint8Array, offset: number): boolean {
    if (this.#isOpenToAll) return true;
    return !this.#deny.matches(family, bytes, offset) && this.#allow.matches(family, bytes, offset);
  }

  /** Its name in connection records. */
  get text(): Uint8Array {
    this.#text ??= new TextEncoder().encode(this.name);
    return this.#text;
  }

  count(field: number, by: number): void {
    this.row[this.at + field]! += by;
  }

  refuse(reason: RefusalReason, by = 1): void {
    this.row[this.at + S_REFUSALS + REFUSAL_INDEX[reason]]! += by;
  }

  /** The same for datagrams and sessions. */
  refuseUdp(reason: RefusalReason, by = 1): void {
    this.refuse(reason, by);
    this.row[this.at + S_UDP_REFUSALS + REFUSAL_INDEX[reason]]! += by;
  }

  /** A task has accepted a client. @param tookMs since this node did */
  countWait(tookMs: number): void {
    countTime(this.row, this.at + S_WAITS, tookMs);
  }
}

export class Route {
  constructor(
    readonly rules: Rules,
    readonly protocol: Protocol,
    readonly published: number,
    readonly targets: readonly Target[],
    readonly balancer: Balancer<Target>,
    /** None of the targets is reachable: nothing listens. */
    readonly isClosed = false,
    /** Only clients that ask for one of these server names. */
    readonly sni: readonly string[] | undefined = undefined,
  ) {}
}

export interface CompiledListener {
  readonly fd: number;
  readonly address: string;
  readonly route: Route;
}

/** A service made ready, with the text it was made from. */
interface CompiledService {
  readonly signature: string;
  readonly rules: Rules;
  readonly listeners: readonly CompiledListener[];
  /** By "protocol published": ports without a listener, because none of their tasks is reachable. */
  readonly closed: ReadonlyMap<string, Route>;
  /** by key */
  readonly targets: ReadonlyMap<string, Target>;
  /** Addresses that names of tasks no longer have, by key. Bounded by open connections: those without are dropped. */
  readonly missing: ReadonlyMap<string, Target>;
  /** To each task of this node that a port of mode ingress leads to, by "protocol task port": what other nodes ask for. */
  readonly ownRoutes: ReadonlyMap<string, Route>;
}

export interface CompiledTable {
  readonly services: ReadonlyMap<string, CompiledService>;
  readonly peers: RelayPeers;
}

export const EMPTY_TABLE: CompiledTable = { services: new Map(), peers: new Map() };

/** Of each service: those that share a port by server names have one socket. */
export function listenersOf(table: CompiledTable): CompiledListener[] {
  return [...table.services.values()].flatMap((service) => service.listeners);
}

/** What has become of a route whose port is closed now; null: the port is open, or published no more. */
export function findClosedRoute(
  table: CompiledTable,
  { rules, protocol, published }: Pick<Route, "rules" | "protocol" | "published">,
): Route | null {
  return table.services.get(rules.name)?.closed.get(`${protocol} ${published}`) ?? null;
}

export function targetsOf(table: CompiledTable): Target[] {
  return [...table.services.values()].flatMap((service) => [...service.targets.values()]);
}

/** Connections may be open to them, although they get no new ones. */
export function missingTargetsOf(table: CompiledTable): Target[] {
  return [...table.services.values()].flatMap((service) => [...service.missing.values()]);
}

/** A task of this node by what another node calls it; null: there is none. */
export function findOwnTarget(
  table: CompiledTable,
  protocol: Protocol,
  service: string,
  task: string,
  targetPort: number,
): { readonly target: Target; readonly rules: Rules } | null {
  const route = findOwnRoute(table, protocol, service, task, targetPort);
  return route === null ? null : { target: route.targets[0]!, rules: route.rules };
}

/** A route to that task alone, at all its addresses. */
export function findOwnRoute(
  table: CompiledTable,
  protocol: Protocol,
  service: string,
  task: string,
  targetPort: number,
): Route | null {
  return table.services.get(service)?.ownRoutes.get(`${protocol} ${task} ${targetPort}`) ?? null;
}

/** @param patienceMs how long a connect to it may take; null: none has succeeded yet */
export type TaskFailed = (task: TaskEndpoint, errnoValue: number, patienceMs: number | null) => void;

/**
 * Builds the new table. A service that has not changed is taken over as it is (a reload must not stop the loop for
 * long); in one that has, the targets that stay are the same objects. Those that are gone are retired, unless only the
 * name of their task has other addresses now.
 */
export class TableCompiler {
  #peers: RelayPeers = new Map();

  constructor(
    readonly before: CompiledTable,
    readonly counters: SharedCounters,
    readonly worker: number,
    readonly nowMs: number,
    readonly onTaskFailed: TaskFailed = () => undefined,
  ) {}

  compile(table: Pick<WorkerTable, "services" | "peers" | "relay">): CompiledTable {
    const peers = table.relay === null ? [] : table.peers;
    this.#peers = peersOf(peers, this.before.peers, this.counters, this.worker);
    const services = new Map(table.services.map((service) => [service.name, this.#compileService(service)]));
    for (const [name, before] of this.before.services) {
      const now = services.get(name);
      if (now === before) continue;
      for (const [key, target] of [...before.missing, ...before.targets]) {
        if (now?.targets.has(key) || now?.missing.has(key)) continue;
        if (now !== undefined) target.drainTimeoutMs = now.rules.drainTimeoutMs;
        target.retire(this.nowMs);
      }
    }
    return { services, peers: this.#peers };
  }

  #compileService(service: WorkerService): CompiledService {
    const known = this.before.services.get(service.name);
    const nodes = new Set(service.tasks.flatMap(({ node }) => (node === null ? [] : [node])));
    const signature = JSON.stringify([service, [...nodes].map((node) => this.#peers.get(node)?.peer)]);
    if (known?.signature === signature) return known;
    const rules = new Rules(service, this.counters, this.worker);
    const targets = new Map<string, Target>();
    const closed = new Map<string, Route>();
    const listeners = service.ports.flatMap((port) => {
      const ofPort = service.tasks.flatMap((task) => {
        const isReachable = task.node === null || this.#peers.has(task.node);
        return isReachable && servesPort(port, task)
          ? [this.#target(service, port, task, known, targets)]
          : [];
      });
      const balancer = createBalancer(service.balance, ofPort, Math.random, service.prefer);
      const isClosed = port.isClosed === true;
      const { protocol, published, sni } = port;
      const route = new Route(rules, protocol, published, ofPort, balancer, isClosed, sni);
      if (isClosed) closed.set(`${port.protocol} ${port.published}`, route);
      return port.listeners.map((listener) => ({ ...listener, route }));
    });
    const missing = known === undefined ? new Map() : this.#missing(known, targets);
    const ownRoutes = ownRoutesOf(rules, service.ports, targets);
    return { signature, rules, listeners, closed, targets, missing, ownRoutes };
  }

  /** The known targets of this node's tasks that serve on by other addresses. */
  #missing(known: CompiledService, targets: ReadonlyMap<string, Target>): Map<string, Target> {
    const serving = new Set<string>();
    for (const [key, target] of targets) if (!target.isDraining) serving.add(withoutAddress(key));
    const left = [...known.missing, ...known.targets].filter(
      ([key, target]) =>
        !targets.has(key) &&
        target.peer === null &&
        serving.has(withoutAddress(key)) &&
        (!target.isMissing || target.open > 0), // a connection may be under way to one that was just there
    );
    for (const [, target] of left) if (!target.isMissing) target.goMissing();
    return new Map(left);
  }

  #target(
    service: WorkerService,
    port: WorkerPort,
    task: WorkerTask,
    known: CompiledService | undefined,
    targets: Map<string, Target>,
  ): Target {
    const targetPort = task.port ?? port.target;
    const peer = task.node === null ? null : this.#peers.get(task.node)!;
    const key = keyOf(port, task, targetPort);
    const target =
      known?.targets.get(key) ??
      backAgain(known?.missing.get(key), task) ??
      this.#newTarget(task, port.protocol, targetPort, peer);
    target.peer = peer; // connections over another path continue
    targets.set(key, target);
    target.weight = task.weight * (task.share ?? 1);
    target.isBackup = task.isBackup === true;
    target.setOutOfRotation(task.isOutOfRotation === true);
    target.drainTimeoutMs = service.drainTimeoutMs;
    if (task.isDraining) target.startDraining(this.nowMs);
    else target.stopDraining();
    return target;
  }

  /** Of another node's tasks that node knows more. */
  #newTarget(task: WorkerTask, protocol: Protocol, port: number, peer: RelayPeer | null): Target {
    const { counters, worker, onTaskFailed } = this;
    const endpoint = { protocol, address: task.address, port };
    const onFailing = (errno: number, patienceMs: number | null) => onTaskFailed(endpoint, errno, patienceMs);
    return new Target(task, port, counters, worker, peer, peer === null ? onFailing : undefined);
  }
}

function keyOf({ protocol, published }: WorkerPort, task: WorkerTask, targetPort: number): string {
  return `${protocol} ${published} ${task.name} ${targetPort} ${task.node ?? ""} ${task.address}`;
}

/** What is equal for all addresses of a task's name. */
function withoutAddress(key: string): string {
  return key.slice(0, key.lastIndexOf(" "));
}

/** Its counters may be elsewhere by now: then it is a new one. */
function backAgain(target: Target | undefined, { slot }: WorkerTask): Target | undefined {
  if (target?.slot !== slot) return undefined;
  target.comeBack();
  return target;
}

/** Two published ports may lead to one target port: their targets are one task. */
function ownRoutesOf(
  rules: Rules,
  ports: readonly WorkerPort[],
  targets: ReadonlyMap<string, Target>,
): Map<string, Route> {
  const ingress = ports.filter(({ mode }) => mode === "ingress");
  const prefixes = ingress.map(({ protocol, published }) => `${protocol} ${published} `);
  const own = [...targets].filter(
    ([key, target]) => target.peer === null && prefixes.some((prefix) => key.startsWith(prefix)),
  );
  const byTask = Map.groupBy(
    own,
    ([key, target]) => `${key.split(" ", 1)[0]} ${target.taskName} ${target.port}`,
  );
  return new Map(
    [...byTask].map(([name, entries]) => {
      const [protocol, published] = entries[0]![0].split(" ") as [Protocol, string];
      const samePort = entries
        .filter(([key]) => key.startsWith(`${protocol} ${published} `))
        .map(([, target]) => target);
      const balancer = createBalancer("round-robin", samePort, Math.random);
      return [name, new Route(rules, protocol, Number(published), samePort, balancer)];
    }),
  );
}
