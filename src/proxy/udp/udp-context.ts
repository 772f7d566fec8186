/** What the UDP listeners of a worker share: memory for batches, and what is known about the datagram at hand. */
import { Arena } from "../../sys/arena.ts";
import type { EventLoop } from "../../sys/event-loop.ts";
import type { PortRun } from "../../sys/local-ports.ts";
import { DATAGRAM_MAX, ReceiveBatch, receiveBatchBytes, sendBatchBytes } from "../../sys/mmsg.ts";
import { SOCKADDR_MAX } from "../../sys/sockaddr.ts";
import { createEndpoint, type Endpoint, PROXY_V2_MAX_ENCODED_BYTES, ProxyHeader } from "../../wire/index.ts";
import type { UdpListeners } from "../table/routing-table.ts";
import { claimBlock, PortBlocks } from "../table/source-ports.ts";
import type { Target } from "../table/target.ts";
import type { WorkerContext } from "../table/worker-context.ts";
import { ClientKey } from "./client-key.ts";
import { PublishedSources } from "./published-sources.ts";
import { RelayContext, type RelayHost, relayContextBytes } from "./relay/relay-context.ts";
import { Replies } from "./replies.ts";
import type { UdpSession } from "./session.ts";
import { SessionRanks } from "./session-ranks.ts";
import { SourcePorts } from "./task-ports.ts";
import { TaskSendBatch } from "./task-send-batch.ts";

/** Datagrams per system call. Only the pages that datagrams have reached take memory. */
export const BATCH_SIZE = 64;
const ARENA_BYTES =
  2 * (receiveBatchBytes(BATCH_SIZE) + sendBatchBytes(BATCH_SIZE)) +
  relayContextBytes(BATCH_SIZE) +
  DATAGRAM_MAX +
  4096;

export class UdpContext {
  readonly loop: EventLoop;
  readonly memory = new Arena(ARENA_BYTES);
  readonly incoming = new ReceiveBatch(this.memory, BATCH_SIZE, true);
  readonly toTasks = new TaskSendBatch(this, BATCH_SIZE);
  readonly replies = new Replies(this, BATCH_SIZE);
  readonly relays: RelayContext;
  readonly sourcePorts: SourcePorts<UdpSession>;
  /** For one call at a time: a struct sockaddr, a PROXY header. */
  readonly sockaddrAt = this.memory.take(SOCKADDR_MAX);
  readonly headerAt = this.memory.take(PROXY_V2_MAX_ENCODED_BYTES);
  /** Of the datagram at hand: what its session is found by, its inbound header, who its client is. */
  readonly key = new ClientKey();
  readonly header = new ProxyHeader();
  client: Endpoint = createEndpoint();
  /** For one call at a time. */
  readonly source: Endpoint = createEndpoint();
  publishedSources = new PublishedSources([]);
  /** Tasks that could not be reached for the datagram at hand. */
  readonly tried: Target[] = [];
  /** by slot; bounded by the number of services */
  readonly #ranks = new Map<number, SessionRanks>();
  /** Of blocks of ports; bounded by those there are. */
  readonly #claims: number[] = [];
  readonly #ids = new WeakMap<Target, number>();
  #lastId = 0;

  constructor(
    readonly worker: WorkerContext,
    host: RelayHost,
    /** Local ports for the sessions of all workers. */
    runs: readonly PortRun[],
  ) {
    this.loop = worker.loop;
    const workers = worker.counters.services.length;
    const claim = (block: number) => this.#claim(block);
    this.sourcePorts = new SourcePorts(new PortBlocks({ runs, workers, random: Math.random, claim }));
    this.relays = new RelayContext(this, host, BATCH_SIZE);
  }

  /** The sessions of the service that counts in `slot`. */
  ranksOf(slot: number): SessionRanks {
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

  #claim(block: number): boolean {
    const fd = claimBlock(block);
    if (fd < 0) return false;
    this.#claims.push(fd);
    this.worker.shares.ports.add(1);
    return true;
  }

  /** The worker ends: its ports are others'. */
  close(): void {
    for (const fd of this.#claims) this.loop.close(fd);
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
}
