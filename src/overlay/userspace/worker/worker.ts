/**
 * The userspace driver's thread: packets from the device to the underlay and back, in one blocking loop.
 *
 * It never returns to the runtime's own event loop: the main thread's messages are taken from the port when the wake-up
 * descriptor rings.
 */
import { receiveMessageOnPort } from "node:worker_threads";
import { Arena } from "../../../sys/arena.ts";
import { Collector } from "../../../sys/collector.ts";
import { Waiting } from "../../../sys/deadline-list.ts";
import { EPOLLIN, EPOLLOUT } from "../../../sys/epoll.ts";
import { EventLoop, type Pollable } from "../../../sys/event-loop.ts";
import { returnHeap, Scavenger } from "../../../sys/scavenger.ts";
import { clearWakeup } from "../../../sys/wakeup.ts";
import { readInt32 } from "../../../wire/big-endian.ts";
import { parseIp } from "../../../wire/index.ts";
import { macOf } from "../../address-plan.ts";
import { Counters } from "../counters.ts";
import { DatagramSender, datagramSenderBytes } from "../peer/datagram-sender.ts";
import type { PeerPath } from "../peer/peer-path.ts";
import { PeerTable } from "../peer/peer-table.ts";
import { RemotePeer } from "../peer/remote-peer.ts";
import { TunWriter, tunWriterBytes } from "../peer/tun-writer.ts";
import { PlainPath } from "../plain/plain-path.ts";
import { PlainReceiver } from "../plain/plain-receiver.ts";
import { SealedPeers, sealedPeersBytes } from "../sealed/sealed-peers.ts";
import type { FromWorker, ToWorker, WorkerPeer, WorkerSetup } from "../worker-messages.ts";
import { ClosedPath } from "./closed-path.ts";
import { TransmitQueue } from "./transmit-queue.ts";
import { TunReader, tunReaderBytes } from "./tun-reader.ts";
import { UnderlayReader, underlayReaderBytes } from "./underlay-reader.ts";

/** Between two reports about what a peer has sent. */
const TICK_MS = 100;

class Ticker extends Waiting {
  constructor(readonly run: () => void) {
    super();
  }

  onDeadline(): void {
    this.run();
  }
}

export class Worker {
  readonly #loop = new EventLoop();
  readonly #transmitQueue: TransmitQueue;
  readonly #sealed: SealedPeers;
  readonly #plain: PlainPath;
  readonly #closed: ClosedPath;
  readonly #plainReceiver: PlainReceiver;
  readonly #fromTun: TunReader;
  readonly #fromUnderlay: UnderlayReader;
  readonly #ticks = this.#loop.deadlines.list(TICK_MS);
  readonly #ticker = new Ticker(() => this.#tick());
  /** The socket takes no more: what is to be sent waits, and the device is not read. */
  #isBlocked = false;

  constructor(readonly setup: WorkerSetup) {
    const { address, vni, isEncrypting, tunFd, socketFd } = setup;
    const size =
      datagramSenderBytes() +
      tunReaderBytes() +
      underlayReaderBytes() +
      tunWriterBytes() +
      sealedPeersBytes();
    const arena = new Arena(size + 4096);
    const counters = new Counters(setup.counters);
    const noPeers = new PeerTable([]);
    const tun = new TunWriter(arena, tunFd, counters);
    const sender = new DatagramSender(arena, socketFd, counters);
    this.#sealed = new SealedPeers(arena, setup, tun, counters);
    this.#transmitQueue = new TransmitQueue(sender, this.#sealed.sender);
    const end = { address: readInt32(parseIp(address)!.bytes, 0), mac: macOf(address), vni, isEncrypting };
    this.#plain = new PlainPath(arena, end, sender, counters);
    this.#closed = new ClosedPath(counters);
    this.#plainReceiver = new PlainReceiver(arena, end, noPeers, tun, sender, counters);
    this.#fromTun = new TunReader(arena, tunFd, noPeers, this.#transmitQueue, counters);
    this.#fromUnderlay = new UnderlayReader(
      arena,
      socketFd,
      noPeers,
      this.#plainReceiver,
      this.#sealed,
      counters,
    );
  }

  /** Returns when the main thread says stop. */
  run(): void {
    const { wakeupFd, tunFd, socketFd } = this.setup;
    const watch = (fd: number, events: number, handler: Pollable) => this.#loop.watch(fd, events, handler);
    watch(wakeupFd, EPOLLIN, { onEvents: () => this.#onWakeup() });
    watch(tunFd, EPOLLIN, { onEvents: () => this.#readTun() });
    watch(socketFd, EPOLLIN, { onEvents: (_, events) => this.#onSocket(events) });
    this.#loop.atEveryTurnEnd(new Collector(this.#loop));
    this.#loop.atEveryTurnEnd(new Scavenger(this.#loop, returnHeap));
    this.#send({ type: "ready" });
    this.#loop.run();
    this.#send({ type: "stopped" });
  }

  #onSocket(events: number): void {
    if ((events & EPOLLOUT) !== 0 && this.#isBlocked) this.#unblock();
    this.#readUnderlay();
  }

  readonly #readUnderlayAgain = { onContinue: () => this.#readUnderlay() };

  #readUnderlay(): void {
    if (!this.#fromUnderlay.read()) this.#loop.continueLater(this.#readUnderlayAgain);
    // answers to ARP, to probes
    this.#flush();
  }

  readonly #readTunAgain = { onContinue: () => this.#readTun() };

  #readTun(): void {
    if (this.#isBlocked) return;
    const state = this.#fromTun.read();
    if (state === "blocked") this.#block();
    else if (state === "more") this.#loop.continueLater(this.#readTunAgain);
  }

  #unblock(): void {
    if (!this.#transmitQueue.flush()) return;
    this.#isBlocked = false;
    this.#loop.rewatch(this.setup.socketFd, EPOLLIN);
    this.#readTun();
  }

  #flush(): void {
    if (!this.#isBlocked && !this.#transmitQueue.flush()) this.#block();
  }

  /** Room to write is asked for only when there is none: the socket would report it after every datagram. */
  #block(): void {
    this.#isBlocked = true;
    this.#loop.rewatch(this.setup.socketFd, EPOLLIN | EPOLLOUT);
  }

  #onWakeup(): void {
    clearWakeup(this.setup.wakeupFd);
    for (;;) {
      const received = receiveMessageOnPort(this.setup.port);
      if (received === undefined) return;
      this.#onMessage(received.message as ToWorker);
    }
  }

  #onMessage(message: ToWorker): void {
    if (message.type === "stop") return this.#loop.stop();
    if (message.type === "ping") return this.#send({ type: "pong" });
    if (message.type === "local-mtu") return this.#sealed.setLocalMtu(message.bytes);
    this.#setPeers(message.peers);
    this.#send({ type: "applied", sequence: message.sequence });
  }

  /** Those that are as they were keep what was learnt of them. */
  #setPeers(peers: readonly WorkerPeer[]): void {
    const before = new Map(this.#fromTun.peers.all.map((peer) => [peer.row, peer]));
    const table = new PeerTable(
      peers.map((config) => {
        const known = before.get(config.row);
        if (known?.isConfiguredAs(config)) return known;
        return new RemotePeer(config, this.#pathTo(config), this.setup);
      }),
    );
    this.#sealed.setPeers(table.all);
    this.#beginTicking();
    this.#fromTun.peers = table;
    this.#fromUnderlay.peers = table;
    this.#plainReceiver.peers = table;
  }

  /** Nothing leaves in clear where this node encrypts, or where the pair does. */
  #pathTo(config: WorkerPeer): PeerPath<RemotePeer> {
    if (config.secrets !== null) return this.#sealed.pathTo(config);
    return this.setup.isEncrypting ? this.#closed : this.#plain;
  }

  /** Sealed paths are probed and reported about as long as there are any. */
  #beginTicking(): void {
    if (this.#sealed.isEmpty || this.#ticker.waitingIn !== null) return;
    this.#ticks.arm(this.#ticker, this.#loop.nowMs);
  }

  #tick(): void {
    this.#sealed.tick(performance.now());
    this.#flush();
    this.#beginTicking();
  }

  #send(message: FromWorker): void {
    this.setup.port.postMessage(message);
  }
}
