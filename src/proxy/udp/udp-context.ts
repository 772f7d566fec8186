/** What the UDP sockets and sessions of a worker share: memory for batches, datagrams under way, source ports. */
import { Arena } from "../../sys/arena.ts";
import type { PortRun } from "../../sys/local-ports.ts";
import { ReceiveBatch, receiveBatchBytes, sendBatchBytes } from "../../sys/mmsg.ts";
import { createEndpoint, type Endpoint, ProxyHeader } from "../../wire/index.ts";
import type { UdpListeners } from "../table/routing-table.ts";
import { PortBlocks } from "../table/source-ports.ts";
import type { Target } from "../table/target.ts";
import type { WorkerContext } from "../table/worker-context.ts";
import type { HandedBlock } from "../table/worker-messages.ts";
import { ClientKey } from "./client-key.ts";
import { ClientSendBatch } from "./client-send-batch.ts";
import { PublishedSources } from "./published-sources.ts";
import { Replies } from "./replies.ts";
import type { SessionContext, UdpLoop } from "./return-path.ts";
import type { UdpSession } from "./session.ts";
import { SessionRanks } from "./session-ranks.ts";
import { KernelSockets, type SessionSockets } from "./session-sockets.ts";
import { SourcePorts } from "./task-ports.ts";
import { TaskSendBatch, taskSendBatchBytes } from "./task-send-batch.ts";

/** Datagrams per system call. Only the pages that datagrams have reached take memory. */
export const BATCH_SIZE = 64;
const ARENA_BYTES =
  2 * receiveBatchBytes(BATCH_SIZE) + taskSendBatchBytes(BATCH_SIZE) + sendBatchBytes(BATCH_SIZE) + 4096;

/** The worker, as far as UDP needs it. */
export interface UdpWorker
  extends Pick<WorkerContext, "index" | "counters" | "recorder" | "descriptors" | "shares" | "ownKeys"> {
  readonly loop: UdpLoop;
}

export interface UdpContextOptions {
  /** Local ports for the sessions of all workers. */
  readonly sourcePorts: readonly PortRun[];
  /** Bytes of memory that others take. */
  readonly moreBytes: number;
  /** Absent: the kernel's. */
  readonly sockets?: SessionSockets;
}

export class UdpContext implements SessionContext<UdpSession> {
  readonly loop: UdpLoop;
  readonly memory: Arena;
  readonly incoming: ReceiveBatch;
  readonly toTasks: TaskSendBatch;
  readonly replies: Replies;
  readonly toClients: ClientSendBatch;
  readonly sourcePorts: SourcePorts<UdpSession>;
  readonly sockets: SessionSockets;
  /** For one datagram at a time: the key of its session, its inbound header. */
  readonly key = new ClientKey();
  readonly header = new ProxyHeader();
  /** For one call at a time. */
  readonly source: Endpoint = createEndpoint();
  readonly destination: Endpoint = createEndpoint();
  /** For one new session at a time: tasks that could not be reached for it. */
  readonly tried: Target[] = [];
  publishedSources = new PublishedSources([]);
  /** by slot; bounded by the number of services */
  readonly #ranks = new Map<number, SessionRanks<UdpSession>>();
  /** Of blocks of ports; bounded by their number. */
  readonly #claims: HandedBlock[] = [];
  readonly #ids = new WeakMap<Target, number>();
  #lastId = 0;

  constructor(
    readonly worker: UdpWorker,
    { sourcePorts: runs, moreBytes, sockets }: UdpContextOptions,
  ) {
    this.loop = worker.loop;
    this.memory = new Arena(ARENA_BYTES + moreBytes);
    this.incoming = new ReceiveBatch(this.memory, BATCH_SIZE, true);
    this.toTasks = new TaskSendBatch(this.memory, BATCH_SIZE);
    this.replies = new Replies(this.loop, this.memory, BATCH_SIZE);
    this.toClients = new ClientSendBatch(this.memory, BATCH_SIZE);
    this.sockets = sockets ?? new KernelSockets(this.memory);
    const workers = worker.counters.services.length;
    const claim = (block: number) => this.#claim(block);
    this.sourcePorts = new SourcePorts(new PortBlocks({ runs, workers, random: Math.random, claim }));
  }

  /** The sessions of the service that counts in `slot`. */
  ranksOf(slot: number): SessionRanks<UdpSession> {
    let ranks = this.#ranks.get(slot);
    if (ranks === undefined) {
      ranks = new SessionRanks(this.worker.shares.udp(slot));
      this.#ranks.set(slot, ranks);
    }
    return ranks;
  }

  setListeners(listeners: readonly UdpListeners[]): void {
    if (Bun.deepEquals(listeners, this.publishedSources.listeners)) return;
    this.publishedSources = new PublishedSources(listeners);
  }

  /** The worker ends: its ports become free for others. */
  close(): void {
    for (const { fd } of this.#claims) this.loop.close(fd);
  }

  /** Blocks of source ports that are this worker's. */
  get claims(): readonly HandedBlock[] {
    return this.#claims;
  }

  /** Blocks that another process has claimed. One that sessions use stays claimed, also where there is no room for it. */
  takeOver(claims: readonly HandedBlock[]): void {
    for (const claim of claims) {
      const { block, users = 0 } = claim;
      const isOwn = users <= 1 && this.sourcePorts.blocks.takeOver(block);
      if (isOwn || users > 0) this.#keep(claim);
      else this.loop.close(claim.fd);
    }
  }

  /** A number for the target, the same for its lifetime. */
  idOf(target: Target): number {
    let id = this.#ids.get(target);
    if (id === undefined) {
      id = ++this.#lastId | 0;
      this.#ids.set(target, id);
    }
    return id;
  }

  #claim(block: number): boolean {
    const fd = this.sockets.claim(block);
    if (fd < 0) return false;
    this.#keep({ block, fd });
    return true;
  }

  #keep(claim: { readonly block: number; readonly fd: number }): void {
    this.#claims.push(claim);
    this.worker.shares.ports.add(1);
  }
}
