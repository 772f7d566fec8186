/**
 * Which local ports UDP sessions leave from. A connected socket is known by its four-tuple, so one port serves a session
 * with every task; only sessions with the same task need different ones. The kernel would hand a port to one socket
 * alone, so ports are picked here: those of ip_local_port_range but for a reserve that is the host's. Nothing in the
 * kernel keeps two sockets from having the same four-tuple, so a block of ports is one worker's: see `PortBlocks`.
 */
import { countPorts, type LocalPorts, type PortRun } from "../../sys/local-ports.ts";
import { claimName } from "../../sys/socket.ts";

/** Left to the host's other programs: an eighth. */
const HOST_SHARE = 8;
/** Ports in a block, which starts at a multiple of it: so blocks are the same for processes with different ranges. */
const BLOCK_PORTS = 64;
/** After all were taken by others. */
const RETRY_MS = 1_000;

export interface SourcePortStatus {
  /** net.ipv4.ip_local_port_range */
  readonly low: number;
  readonly high: number;
  /** How many UDP sessions with one task may use, over all workers. */
  readonly forSessions: number;
  readonly leftToHost: number;
}

export function sourcePortStatus({ low, high, runs }: LocalPorts): SourcePortStatus {
  const count = countPorts(runs);
  const leftToHost = Math.ceil(count / HOST_SHARE);
  return { low, high, forSessions: count - leftToHost, leftToHost };
}

/** Those of all workers. */
export function sessionPorts(local: LocalPorts): PortRun[] {
  let left = sourcePortStatus(local).forSessions;
  return local.runs.flatMap(({ first, last }) => {
    const count = Math.min(left, last - first + 1);
    left -= count;
    return count > 0 ? [{ first, last: first + count - 1 }] : [];
  });
}

export interface PortBlocksOptions {
  /** Ascending. */
  readonly runs: readonly PortRun[];
  readonly workers: number;
  /** [0, 1) */
  readonly random: () => number;
  /** Takes the block that starts at a port, for good; false: another worker or process has it. */
  readonly claim: (block: number) => boolean;
}

/** The blocks of one worker: as many as it has needed, at most its part. */
export class PortBlocks {
  /** Grows, and never shrinks. */
  readonly ports: number[] = [];
  readonly maxPorts: number;
  readonly #options: PortBlocksOptions;
  /** Not claimed yet; in random order, as other workers look for theirs too. */
  readonly #left: number[];
  /** Of `ports` that were another process's. */
  readonly #indices = new Map<number, number>();
  #mayHave: number;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PortBlocksOptions) {
    const { runs, workers, random } = options;
    this.#options = options;
    const blocks = blocksOf(runs);
    this.#left = blocks
      .map((block) => ({ block, order: random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ block }) => block);
    this.#mayHave = Math.ceil(blocks.length / workers);
    this.maxPorts = Math.min(countPorts(runs), this.#mayHave * BLOCK_PORTS);
  }

  /** One more block; false: there is none. */
  grow(nowMs: number): boolean {
    if (this.#mayHave === 0 || nowMs < this.#retryAtMs) return false;
    const at = this.#left.findIndex((block) => this.#options.claim(block));
    if (at < 0) {
      this.#retryAtMs = nowMs + RETRY_MS;
      return false;
    }
    const [claimed] = this.#left.splice(at, 1);
    this.#take(claimed!);
    return true;
  }

  /** A block that another process has claimed and passes on; false: this worker has no room for it. */
  takeOver(block: number): boolean {
    const at = this.#left.indexOf(block);
    if (this.#mayHave === 0 || at < 0) return false;
    this.#left.splice(at, 1);
    const first = this.ports.length;
    this.#take(block);
    for (let index = first; index < this.ports.length; index++) this.#indices.set(this.ports[index]!, index);
    return true;
  }

  /** Of a port in a block that was taken over; -1: it is in none. */
  indexOf(port: number): number {
    return this.#indices.get(port) ?? -1;
  }

  #take(block: number): void {
    this.ports.push(...portsIn(block, this.#options.runs));
    this.#mayHave--;
  }
}

/** Those with a port of these. */
function blocksOf(runs: readonly PortRun[]): number[] {
  const blocks = new Set<number>();
  for (const { first, last } of runs)
    for (let block = blockOf(first); block <= last; block += BLOCK_PORTS) blocks.add(block);
  return [...blocks];
}

function portsIn(block: number, runs: readonly PortRun[]): number[] {
  const all = Array.from({ length: BLOCK_PORTS }, (_, index) => block + index);
  return all.filter((port) => runs.some(({ first, last }) => port >= first && port <= last));
}

/** The one that a port is in. */
export function blockOf(port: number): number {
  return port - (port % BLOCK_PORTS);
}

/** The block is this socket's as long as it is open: a descriptor, or negative when another has it. */
export function claimBlock(block: number): number {
  return claimName(`portmesh udp ports ${block}`);
}
