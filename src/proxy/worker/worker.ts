/**
 * A proxy worker: owns its listeners, runs its loop, swaps routing tables when the main thread sends one.
 *
 * It never returns to the runtime's own event loop: the main thread's messages are taken from the port when the wake-up
 * descriptor rings.
 */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { Collector } from "../../sys/collector.ts";
import { type DeadlineList, Waiting } from "../../sys/deadline-list.ts";
import { EPOLLIN } from "../../sys/epoll.ts";
import { EventLoop, type Pollable } from "../../sys/event-loop.ts";
import { LagWatch } from "../../sys/lag-watch.ts";
import { returnHeap, Scavenger } from "../../sys/scavenger.ts";
import { clearWakeup } from "../../sys/wakeup.ts";
import { identityOf, NO_IDENTITY } from "../relay/identity.ts";
import { OwnKeys } from "../relay/own-key.ts";
import { ConnectionRecorder } from "../table/connection-record.ts";
import { countTime, RELAY_DROPS, type RelayDrop } from "../table/counters.ts";
import { DescriptorGate } from "../table/descriptor-gate.ts";
import { DescriptorShares } from "../table/descriptor-shares.ts";
import {
  type CompiledTable,
  EMPTY_TABLE,
  findClosedRoute,
  findOwnRoute,
  findOwnTarget,
  listenersOf,
  missingTargetsOf,
  type Route,
  type Rules,
  TableCompiler,
  type TaskFailed,
  targetsOf,
} from "../table/route.ts";
import { groupBySocket, type SocketListener } from "../table/shared-port.ts";
import type { Target } from "../table/target.ts";
import type { WorkerContext } from "../table/worker-context.ts";
import type {
  FromWorker,
  HandedUdp,
  ToWorker,
  UdpStep,
  WorkerListener,
  WorkerRelay,
  WorkerSetup,
  WorkerTable,
} from "../table/worker-messages.ts";
import { Attempt } from "../tcp/attempt.ts";
import { Clients } from "../tcp/clients.ts";
import { TcpListener } from "../tcp/listener.ts";
import { Heartbeats } from "../tcp/relay/heartbeat.ts";
import { RelayConnection } from "../tcp/relay/relay-connection.ts";
import { RelayPools } from "../tcp/relay/relay-pool.ts";
import { RelayAcceptor } from "../tcp/relay-acceptor.ts";
import { TcpContext } from "../tcp/tcp-context.ts";
import { UdpListener } from "../udp/listener.ts";
import { RELAY_CONTEXT_BYTES, RelayContext, type RelayHost } from "../udp/relay/relay-context.ts";
import { RelayListener } from "../udp/relay/relay-listener.ts";
import { RelaySockets } from "../udp/relay/relay-sockets.ts";
import { UdpContext } from "../udp/udp-context.ts";

/** How long records wait, and how often drain deadlines and descriptors are looked at, while there is any of these. */
const TICK_MS = 100;
/** The main thread is notified of a shortage at once, and then so often while it lasts. */
const SHORTAGE_MS = 1_000;

/** A published port's socket, TCP or UDP. */
interface Listener {
  readonly fd: number;
  route: Route;
  /** Tasks have come, gone or begun to drain. */
  onTargetsChanged(nowMs: number): void;
  close(): void;
  /** As `close`, where another process has the socket and goes on with it. */
  forget(): void;
}

export class Worker extends Waiting implements Pollable, RelayHost {
  identity = NO_IDENTITY;
  readonly #loop = new EventLoop();
  readonly #context: WorkerContext;
  readonly #tcp: TcpContext;
  readonly #clients: Clients;
  readonly #udp: UdpContext;
  readonly #relays: RelayContext;
  readonly #relaySockets: RelaySockets;
  readonly #port: MessagePort;
  readonly #tick: DeadlineList;
  #table = EMPTY_TABLE;
  /** by descriptor */
  #listeners = new Map<number, Listener>();
  #relayListeners = new Map<number, RelayListener>();
  #relayAcceptors = new Map<number, RelayAcceptor>();
  readonly #heartbeats: Heartbeats;
  /** Another process has the UDP sockets: their descriptors here are closed. */
  #hasLeftUdp = false;
  /** Another process has taken over the listening sockets. */
  #isSucceeded = false;
  /** Have connections whose time is running out. */
  #draining: Target[] = [];
  /** Something has run out, and the main thread has not been notified. */
  #hasShortage = false;
  #shortageReportedMs = Number.NEGATIVE_INFINITY;

  constructor(readonly setup: WorkerSetup) {
    super();
    const { index, counters, recordRing, scarceAtFd, wakeupFd } = setup;
    const descriptors = new DescriptorGate(scarceAtFd, counters, index, wakeupFd, () => this.#onShortage());
    this.#context = {
      index,
      loop: this.#loop,
      counters,
      recorder: new ConnectionRecorder(
        recordRing,
        () => this.#armTick(),
        () => this.#announceRecords(),
      ),
      ownKeys: new OwnKeys(),
      descriptors,
      shares: new DescriptorShares(descriptors),
    };
    this.#tcp = new TcpContext(this.#context, setup.maxPipes, ({ service, task, targetPort }) =>
      findOwnRoute(this.#table, "tcp", service, task, targetPort),
    );
    this.#clients = new Clients(this.#tcp, new RelayPools(this.#tcp));
    this.#heartbeats = new Heartbeats(this.#tcp);
    const { sourcePorts } = setup;
    this.#udp = new UdpContext(this.#context, { sourcePorts, moreBytes: RELAY_CONTEXT_BYTES });
    this.#relays = new RelayContext(this.#udp, this);
    this.#relaySockets = new RelaySockets(this.#relays);
    this.#port = setup.port;
    this.#tick = this.#loop.deadlines.list(TICK_MS);
  }

  /** Returns when the main thread says stop. */
  run(): void {
    this.#loop.watch(this.setup.wakeupFd, EPOLLIN, this);
    this.#send({ type: "ready" });
    this.#loop.atEveryTurnEnd(new Collector(this.#loop));
    this.#loop.atEveryTurnEnd(new Scavenger(this.#loop, () => this.#scavenge()));
    const lags = this.#context.counters.loopLags[this.#context.index]!;
    new LagWatch(this.#loop, (lateMs) => countTime(lags, 0, lateMs));
    this.#loop.run();
    this.#send({ type: "stopped" });
  }

  #scavenge(): void {
    this.#tcp.resources.discardFree();
    returnHeap();
  }

  /** The wake-up descriptor rang. */
  onEvents(): void {
    clearWakeup(this.setup.wakeupFd);
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      this.#onMessage(received.message as ToWorker);
    }
  }

  onDeadline(nowMs: number): void {
    const { descriptors, shares } = this.#context;
    this.#announceRecords();
    if (descriptors.isWaitedFor) descriptors.release();
    shares.releaseAll();
    this.#cutOverdue(nowMs);
    this.#reportShortage(nowMs);
    if (this.#isTicking) this.#armTick();
  }

  findTask(service: string, task: string, targetPort: number): { target: Target; rules: Rules } | null {
    return findOwnTarget(this.#table, "udp", service, task, targetPort);
  }

  onDropped(reason: RelayDrop, datagrams: number): void {
    const { counters, index } = this.#context;
    counters.relayDrops[index]![RELAY_DROPS.indexOf(reason)]! += datagrams;
  }

  readonly #onTaskFailed: TaskFailed = (task, errno, patienceMs) => {
    this.#send({ type: "task-failed", task, errno, patienceMs });
  };

  #onMessage(message: ToWorker): void {
    switch (message.type) {
      case "table":
        this.#apply(message.table);
        this.#send({ type: "applied", sequence: message.sequence });
        break;
      case "udp":
        this.#handOver(message.step, message.sequence);
        break;
      case "forget":
        this.#isSucceeded = true;
        break;
      case "record":
        this.#context.recorder.rule = message.rule;
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "stop":
        this.#end();
        break;
    }
  }

  #handOver(step: UdpStep, sequence: number): void {
    const udpListeners = [...this.#listeners.values()].filter((each) => each instanceof UdpListener);
    const relayListeners = [...this.#relayListeners.values()];
    if (step === "pause") {
      const listeners = udpListeners.map((listener) => ({ fd: listener.fd, ...listener.pause() }));
      for (const listener of relayListeners) listener.pause();
      this.#relaySockets.pause();
      return this.#send({ type: "udp-paused", sequence, udp: { listeners, claims: this.#udp.claims } });
    }
    if (step === "resume") {
      for (const listener of [...udpListeners, ...relayListeners]) listener.resume();
      this.#relaySockets.resume();
    } else this.#forgetUdp(udpListeners, relayListeners);
    this.#send({ type: "applied", sequence });
  }

  #forgetUdp(udpListeners: readonly UdpListener[], relayListeners: readonly RelayListener[]): void {
    this.#hasLeftUdp = true;
    for (const listener of udpListeners) {
      listener.leave();
      this.#listeners.delete(listener.fd);
    }
    for (const listener of relayListeners) listener.forget();
    this.#relayListeners.clear();
    this.#relaySockets.forget();
  }

  #continueUdp({ claims, listeners }: HandedUdp): void {
    this.#udp.takeOver(claims);
    for (const { fd, ...sessions } of listeners) {
      const listener = this.#listeners.get(fd);
      if (listener instanceof UdpListener) listener.continueSessions(sessions);
    }
  }

  get #isTicking(): boolean {
    const { recorder, descriptors, shares } = this.#context;
    const isWaitedFor = descriptors.isWaitedFor || shares.isWaitedFor;
    return recorder.isPending || isWaitedFor || this.#draining.length > 0 || this.#hasShortage;
  }

  #onShortage(): void {
    this.#hasShortage = true;
    this.#armTick();
  }

  #reportShortage(nowMs: number): void {
    if (!this.#hasShortage || nowMs < this.#shortageReportedMs + SHORTAGE_MS) return;
    this.#hasShortage = false;
    this.#shortageReportedMs = nowMs;
    this.#send({ type: "shortage" });
  }

  #armTick(): void {
    if (this.waitingIn === null) this.#tick.arm(this, this.#loop.nowMs);
  }

  /** Listeners that stay are not touched but for their route; connections keep the one they were accepted on. */
  #apply(table: WorkerTable): void {
    const { counters, index } = this.#context;
    const before = this.#table;
    const compiler = new TableCompiler(before, counters, index, this.#loop.nowMs, this.#onTaskFailed);
    this.#table = compiler.compile(table);
    this.#context.shares.divide(table.descriptors, table.services, table.relay !== null);
    const listeners = new Map<number, Listener>();
    for (const compiled of groupBySocket(listenersOf(this.#table))) {
      if (this.#hasLeftUdp && compiled.route.protocol === "udp") continue;
      const known = this.#listeners.get(compiled.fd);
      if (known !== undefined) known.route = compiled.route;
      const listener = known ?? this.#open(compiled);
      if (listener instanceof TcpListener) listener.shared = compiled.shared ?? null;
      listeners.set(compiled.fd, listener);
    }
    for (const [fd, listener] of this.#listeners) {
      if (listeners.has(fd)) continue;
      const inForce = (route: Route) => findClosedRoute(this.#table, route) ?? route;
      listener.route = inForce(listener.route);
      if (listener instanceof TcpListener) listener.shared = listener.shared?.map(inForce) ?? null;
      this.#endListener(listener);
    }
    this.#listeners = listeners;
    this.#applyRelay(table.relay);
    this.#udp.setListeners(table.udpListeners);
    if (table.inherited !== null) this.#continueUdp(table.inherited);
    this.#startDraining(before);
    for (const listener of listeners.values()) listener.onTargetsChanged(this.#loop.nowMs);
    for (const listener of this.#relayListeners.values()) listener.onTargetsChanged(this.#loop.nowMs);
    this.#relaySockets.keepOnly(new Set(this.#table.peers.values()));
    for (const client of this.#clients.all()) client.onTargetsChanged();
  }

  #applyRelay(relay: WorkerRelay | null): void {
    const before = this.identity;
    this.identity = relay === null ? NO_IDENTITY : identityOf(relay, before);
    const listeners = new Map<number, RelayListener>();
    for (const { fd, address } of this.#hasLeftUdp ? [] : (relay?.udpListeners ?? [])) {
      const known = this.#relayListeners.get(fd);
      if (known !== undefined && this.identity !== before) known.identity = this.identity;
      listeners.set(fd, known ?? new RelayListener(this.#relays, fd, address, this.identity));
    }
    for (const [fd, listener] of this.#relayListeners) if (!listeners.has(fd)) listener.close();
    this.#relayListeners = listeners;
    if (relay !== null && this.identity !== before) this.#tcp.relay.change(this.identity);
    this.#applyTcpRelay(relay?.tcpListeners ?? []);
  }

  #applyTcpRelay(wanted: readonly WorkerListener[]): void {
    const acceptors = new Map<number, RelayAcceptor>();
    for (const { fd } of wanted)
      acceptors.set(fd, this.#relayAcceptors.get(fd) ?? new RelayAcceptor(this.#clients, fd));
    for (const [fd, acceptor] of this.#relayAcceptors) if (!acceptors.has(fd)) this.#endListener(acceptor);
    this.#relayAcceptors = acceptors;
    this.#clients.relayPools.keepOnly(this.#table.peers);
    if (this.#context.index === 0) this.#heartbeats.keepOnly(this.#table.peers);
  }

  #endListener(listener: Pick<Listener, "close" | "forget">): void {
    if (this.#isSucceeded) listener.forget();
    else listener.close();
  }

  #open({ fd, address, route }: SocketListener): Listener {
    if (route.protocol === "udp") return new UdpListener(this.#udp, this.#relaySockets, fd, address, route);
    return new TcpListener(this.#clients, fd, address, route);
  }

  #startDraining(before: CompiledTable): void {
    const left = [...targetsOf(before), ...missingTargetsOf(before)];
    const targets = new Set([...this.#draining, ...left, ...targetsOf(this.#table)]);
    this.#draining = [...targets].filter((target) => target.isDraining && !target.isMissing);
    this.#cutOverdue(this.#loop.nowMs);
    if (this.#draining.length > 0) this.#armTick();
  }

  #cutOverdue(nowMs: number): void {
    if (!this.#draining.some((target) => target.cutAtMs <= nowMs)) return;
    this.#draining = this.#draining.filter((target) => target.cutAtMs > nowMs);
    for (const client of this.#clients.all()) client.cutIfOverdue(nowMs);
    for (const listener of this.#listeners.values()) listener.onTargetsChanged(nowMs);
    for (const listener of this.#relayListeners.values()) listener.onTargetsChanged(nowMs);
  }

  /** At the end of the process the kernel would close connections in order, as if they were complete. */
  #end(): void {
    for (const listener of this.#listeners.values()) listener.close();
    for (const listener of this.#relayListeners.values()) listener.close();
    for (const acceptor of this.#relayAcceptors.values()) acceptor.close();
    this.#clients.relayPools.close();
    this.#heartbeats.close();
    for (const client of this.#clients.all()) client.cut();
    this.#closeOvertaken();
    this.#udp.close();
    this.#announceRecords();
    this.#loop.stop();
  }

  /** The remaining attempts have no client. */
  #closeOvertaken(): void {
    for (const handler of this.#loop.handlers())
      if (handler instanceof Attempt || handler instanceof RelayConnection) handler.close();
  }

  #announceRecords(): void {
    const { recorder } = this.#context;
    if (!recorder.isPending) return;
    recorder.onNotified();
    this.#send({ type: "records" });
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}
